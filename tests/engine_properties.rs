//! Records and names of any content.

use cyborg_kms::blob::{
    Binding, Blob, DataKeyEntry, FormerKek, Kind, MAX_WRITE_IDS, Record, State, WrappedKek,
};
use cyborg_kms::error::Status;
use cyborg_kms::name::IndexName;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn wrap() -> impl Strategy<Value = WrappedKek> {
    let texts = (".{0,20}", ".{0,10}", ".{0,40}", ".{0,10}", ".{0,5}", ".{0,5}");
    (texts, vec(any::<u8>(), 0..100), any::<bool>()).prop_map(|(texts, wrapped_kek, bound)| WrappedKek {
        kms_name: texts.0,
        provider: texts.1,
        key_id: texts.2,
        region: texts.3,
        wrapped_kek,
        binding: if bound { Binding::IndexName } else { Binding::None },
        key_version: texts.4,
        mechanism: texts.5,
    })
}

fn state() -> impl Strategy<Value = State> {
    prop_oneof![
        Just(State::Enabled),
        Just(State::Disabled),
        Just(State::PendingDeletion),
        Just(State::Deleted)
    ]
}

fn former() -> impl Strategy<Value = FormerKek> {
    (any::<u32>(), vec(any::<u8>(), 60))
        .prop_map(|(last_version, wrapped)| FormerKek { last_version, wrapped })
}

fn data_keys() -> impl Strategy<Value = Vec<DataKeyEntry>> {
    vec((vec(any::<u8>(), 60), any::<i64>(), any::<i64>()), 2..6).prop_map(|keys| {
        let keys = keys.into_iter().enumerate();
        keys.map(|(id, (wrapped, created_at, superseded_at))| DataKeyEntry {
            id: u32::try_from(id).unwrap(),
            wrapped,
            created_at,
            superseded_at,
        })
        .collect()
    })
}

/// What both kinds have.
fn common() -> impl Strategy<Value = Record> {
    let times = (any::<i64>(), any::<i64>(), any::<i64>());
    let parts = (option::of(any::<[u8; 32]>()), state(), vec(any::<[u8; 16]>(), 0..=MAX_WRITE_IDS));
    (1u32.., wrap(), times, parts, vec(wrap(), 0..3), option::of(wrap())).prop_map(
        |(version, wrap, times, (kek_check, state, write_ids), recipients, replaced)| Record {
            wrap,
            created_at: times.0,
            deletion_at: times.1,
            updated_at: times.2,
            kek_check,
            state,
            write_ids,
            recipients,
            replaced,
            ..Record::from_blob(Blob { version, ..Blob::default() })
        },
    )
}

fn ours() -> impl Strategy<Value = Record> {
    let proofs = (any::<[u8; 32]>(), any::<[u8; 32]>());
    (common(), data_keys(), vec(former(), 0..4), any::<u64>(), proofs).prop_map(
        |(common, data_keys, former_keks, epoch, (check, mac))| Record {
            kind: Kind::Ours,
            current_data_key: data_keys.last().unwrap().id,
            data_keys,
            former_keks,
            epoch,
            kek_check: Some(check),
            record_mac: Some(mac),
            ..common
        },
    )
}

proptest! {
    #[test]
    fn a_record_reads_back_as_it_was_written(record in prop_oneof![common(), ours()]) {
        let bytes = record.encode().unwrap();
        prop_assert_eq!(Record::decode(&bytes).unwrap(), record.clone());
        // Trailing bytes are ignored, as CyborgDB does.
        let longer = [&bytes[..], &[0xff; 7]].concat();
        prop_assert_eq!(Record::decode(&longer).unwrap(), record.clone());
        prop_assert_eq!(Blob::decode(&bytes).unwrap(), record.into_blob());
    }

    #[test]
    fn an_altered_record_is_read_or_corrupt(
        record in ours(), changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8), keep in any::<prop::sample::Index>()
    ) {
        let mut bytes = record.encode().unwrap();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        for part in [&bytes[..], &bytes[..keep.index(bytes.len())]] {
            match Record::decode(part) {
                // What was read can be written, and is then the same.
                Ok(read) => prop_assert_eq!(Record::decode(&read.encode().unwrap()).unwrap(), read),
                Err(error) => prop_assert_eq!(error.status(), Status::Corrupt),
            }
        }
    }

    #[test]
    fn any_bytes_are_a_record_or_corrupt(bytes in vec(any::<u8>(), 0..400)) {
        if let Err(error) = Record::decode(&bytes) {
            prop_assert_eq!(error.status(), Status::Corrupt);
        }
    }

    #[test]
    fn a_blob_reads_back(wrap in wrap(), version in 1u32.., created_at: i64) {
        let blob = Blob {
            kms_name: wrap.kms_name,
            provider: wrap.provider,
            key_id: wrap.key_id,
            region: wrap.region,
            wrapped_kek: wrap.wrapped_kek,
            version,
            created_at,
        };
        prop_assert_eq!(Blob::decode(&blob.encode().unwrap()).unwrap(), blob);
    }

    #[test]
    fn a_name_is_refused_or_comes_back_from_its_encoding(raw in prop_oneof![any::<String>(), "[a-z%./~]{1,240}"]) {
        match IndexName::new(&raw) {
            Ok(name) => {
                prop_assert_eq!(name.as_str(), &raw);
                prop_assert!(name.encoded().len() <= 220);
                prop_assert!(name.encoded().bytes().all(|b| b.is_ascii_alphanumeric() || b"._-%".contains(&b)));
                prop_assert_eq!(IndexName::from_encoded(name.encoded()), Some(name));
            }
            Err(error) => {
                prop_assert_eq!(error.status(), Status::InvalidArgument);
                prop_assert!(raw.is_empty() || raw.contains('\0') || raw.len() > 73);
            }
        }
    }

    #[test]
    fn foreign_names_are_none_or_stand_for_one_name(encoded in "[a-z%0-9A-F.]{0,30}") {
        if let Some(name) = IndexName::from_encoded(&encoded) {
            prop_assert_eq!(name.encoded(), encoded);
        }
    }
}
