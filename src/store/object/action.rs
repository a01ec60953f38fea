//! What is asked of a store.

use super::Cloud;

/// One kind of request, for messages and for what an answer to it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Read,
    /// Write where there is nothing.
    Create,
    /// Write in the place of what was read.
    Replace,
    /// Write whatever is there.
    Overwrite,
    Remove,
    List,
}

impl Action {
    /// Whether "not found" can mean the object: else it is the bucket that is missing.
    pub(super) fn can_miss(self) -> bool {
        matches!(self, Action::Read | Action::Replace | Action::Remove)
    }

    /// What the cloud's administrator has to allow.
    pub(super) fn permission(self, cloud: Cloud) -> &'static str {
        match (cloud, self) {
            (Cloud::S3, Action::Read) => "s3:GetObject",
            (Cloud::S3, Action::Remove) => "s3:DeleteObject",
            (Cloud::S3, Action::List) => "s3:ListBucket",
            (Cloud::S3, _) => "s3:PutObject",
            (Cloud::Google, Action::Read) => "storage.objects.get",
            (Cloud::Google, Action::Remove) => "storage.objects.delete",
            (Cloud::Google, Action::List) => "storage.objects.list",
            (Cloud::Google, Action::Create) => "storage.objects.create",
            (Cloud::Google, _) => "storage.objects.create and storage.objects.delete",
            (Cloud::Azure, Action::Read | Action::List) => "the role Storage Blob Data Reader",
            (Cloud::Azure, _) => "the role Storage Blob Data Contributor",
        }
    }
}
