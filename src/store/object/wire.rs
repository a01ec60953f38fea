//! What the servers answered, of which `object_store` keeps too little: codes, request ids, the time to wait, and
//! whether a request was sent at all.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures_util::StreamExt;
use object_store::ClientOptions;
use object_store::HeaderMap;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpResponseBody, HttpService,
    ReqwestConnector,
};

use super::address::Address;

/// So much of an error's body is read: what matters stands at its beginning.
const MAX_BODY: usize = 64 << 10;
/// So much of a server's own words is shown.
const MAX_WORDS: usize = 300;

tokio::task_local! {
    /// The requests of one call, which run on one task.
    static CURRENT: Arc<Watch>;
}

/// What is known of the last request of a call.
#[derive(Debug)]
pub(super) struct Watch {
    address: Arc<Address>,
    seen: Mutex<Seen>,
}

/// See [`Watch`].
#[derive(Debug, Default, Clone)]
pub(super) struct Seen {
    /// Whom it asked: the store, or who gives out tokens.
    pub host: String,
    /// What was asked to change something has left, on this try or one before. It may have arrived.
    pub change_sent: bool,
    /// The answer, unless it was a success.
    pub answer: Option<Answer>,
}

/// A server's refusal.
#[derive(Debug, Default, Clone)]
pub(super) struct Answer {
    pub status: u16,
    /// Such as `NoSuchBucket`, or "".
    pub code: String,
    /// The server's own words, or "".
    pub words: String,
    pub request_id: String,
    pub retry_after_ms: u64,
    /// S3: where the bucket really lies, or "".
    pub region: String,
}

impl Watch {
    pub(super) fn new(address: &Arc<Address>) -> Arc<Watch> {
        Arc::new(Watch { address: Arc::clone(address), seen: Mutex::default() })
    }

    /// Runs requests under this watch.
    pub(super) async fn over<T>(self: &Arc<Watch>, requests: impl Future<Output = T>) -> T {
        CURRENT.scope(Arc::clone(self), requests).await
    }

    pub(super) fn seen(&self) -> Seen {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leaves(&self, request: &HttpRequest) {
        let host = request.uri().host().unwrap_or_default().to_owned();
        let changes = !matches!(request.method().as_str(), "GET" | "HEAD") && self.address.serves(&host);
        let mut seen = self.lock();
        *seen = Seen { host, change_sent: seen.change_sent || changes, answer: None };
    }
}

/// Makes clients that tell the watch what they see.
#[derive(Debug)]
pub(super) struct WatchedConnector;

impl HttpConnector for WatchedConnector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Watched(ReqwestConnector::default().connect(options)?)))
    }
}

#[derive(Debug)]
struct Watched(HttpClient);

#[async_trait]
impl HttpService for Watched {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        // The requests of a call run on its own task: there is always a watch.
        let watch = CURRENT.try_with(Arc::clone).ok();
        if let Some(watch) = &watch {
            watch.leaves(&request);
        }
        let response = self.0.execute(request).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let (parts, body) = response.into_parts();
        let body = beginning(body).await?;
        let answer = Answer::read(status.as_u16(), &parts.headers, &String::from_utf8_lossy(&body));
        if let Some(watch) = watch {
            watch.lock().answer = Some(answer);
        }
        Ok(HttpResponse::from_parts(parts, HttpResponseBody::from(body)))
    }
}

async fn beginning(body: HttpResponseBody) -> Result<Vec<u8>, HttpError> {
    let mut chunks = body.bytes_stream();
    let mut bytes = Vec::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk?;
        let room = MAX_BODY - bytes.len();
        bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() >= room {
            break;
        }
    }
    Ok(bytes)
}

impl Answer {
    fn read(status: u16, headers: &HeaderMap, body: &str) -> Answer {
        let header = |names: &[&str]| -> String {
            let found = names.iter().find_map(|name| headers.get(*name)?.to_str().ok());
            found.unwrap_or_default().to_owned()
        };
        let or = |first: String, second: &str| if first.is_empty() { second.to_owned() } else { first };
        let seconds = header(&["retry-after"]).parse::<u64>().unwrap_or_default();
        Answer {
            status,
            code: or(header(&["x-ms-error-code"]), element(body, "Code")),
            // Azure's go on with the request's id and the time.
            words: element(body, "Message")
                .lines()
                .next()
                .unwrap_or_default()
                .chars()
                .take(MAX_WORDS)
                .collect(),
            request_id: or(
                header(&["x-amz-request-id", "x-ms-request-id", "x-guploader-uploadid"]),
                element(body, "RequestId"),
            ),
            retry_after_ms: seconds.saturating_mul(1000),
            region: or(header(&["x-amz-bucket-region"]), element(body, "Region")),
        }
    }
}

/// The text of an error's element; all three clouds write them flat.
fn element<'a>(body: &'a str, name: &str) -> &'a str {
    let (start, end) = (format!("<{name}>"), format!("</{name}>"));
    let Some((_, rest)) = body.split_once(&start) else { return "" };
    rest.split_once(&end).map_or("", |(text, _)| text.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_keeps_what_says_why() {
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-request-id", "R1".parse().unwrap());
        headers.insert("retry-after", "3".parse().unwrap());
        let body = "<?xml version='1.0'?><Error><Code>SlowDown</Code><Message> Reduce your rate. </Message>\
                    <RequestId>other</RequestId></Error>";
        let answer = Answer::read(503, &headers, body);
        assert_eq!((answer.status, &*answer.code, &*answer.words), (503, "SlowDown", "Reduce your rate."));
        assert_eq!((&*answer.request_id, answer.retry_after_ms), ("R1", 3000));

        let mut headers = HeaderMap::new();
        headers.insert("x-ms-error-code", "ContainerNotFound".parse().unwrap());
        headers.insert("x-ms-request-id", "R2".parse().unwrap());
        let answer = Answer::read(404, &headers, "");
        assert_eq!((&*answer.code, &*answer.words, &*answer.request_id), ("ContainerNotFound", "", "R2"));
        assert_eq!(Answer::read(500, &HeaderMap::new(), "<Code>cut off").code, "");
        assert_eq!(Answer::read(301, &HeaderMap::new(), "<Region>eu-west-1</Region>").region, "eu-west-1");
    }
}
