//! An answer that comes once, from any thread, at once or later: what a caller's own store or provider gives.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::call::Call;
use crate::error::{Error, Result, fail};

/// Turns the bytes and the revision of an answer into what is waited for. Runs on the answering thread, so that
/// a key goes straight into locked memory.
type Accept<T> = Box<dyn FnOnce(&[u8], u64) -> Result<T> + Send>;

/// The side that answers. Dropped without an answer it is `INTERNAL` for the waiting side.
pub struct Reply {
    answer: Option<Deliver>,
}

/// Hands what was answered, bytes and revision, to the waiting side.
type Deliver = Box<dyn FnOnce(Result<(&[u8], u64)>) + Send>;

/// The side that waits.
pub struct Answer<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    result: Mutex<Option<Result<T>>>,
    arrived: Condvar,
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, Option<Result<T>>> {
        self.result.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Both sides of one answer.
pub fn channel<T: Send + 'static>(
    accept: impl FnOnce(&[u8], u64) -> Result<T> + Send + 'static,
) -> (Reply, Answer<T>) {
    let shared = Arc::new(Shared { result: Mutex::new(None), arrived: Condvar::new() });
    let sender = Arc::clone(&shared);
    let accept: Accept<T> = Box::new(accept);
    let answer = move |given: Result<(&[u8], u64)>| {
        let result = given.and_then(|(bytes, revision)| accept(bytes, revision));
        *sender.lock() = Some(result);
        sender.arrived.notify_all();
    };
    (Reply { answer: Some(Box::new(answer)) }, Answer { shared })
}

impl Reply {
    /// Answers with bytes and a revision (0 where there is none).
    pub fn bytes(mut self, data: &[u8], revision: u64) {
        if let Some(answer) = self.answer.take() {
            answer(Ok((data, revision)));
        }
    }

    /// Answers with a failure.
    pub fn error(mut self, error: Error) {
        if let Some(answer) = self.answer.take() {
            answer(Err(error));
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if let Some(answer) = self.answer.take() {
            answer(Err(fail!(Internal, "the callback freed its reply without an answer")));
        }
    }
}

impl<T> Answer<T> {
    /// Waits for the answer, until the call ends at the latest: a later answer is dropped.
    pub fn wait(self, call: &Call, what: &str) -> Result<T> {
        let mut result = self.shared.lock();
        loop {
            if let Some(result) = result.take() {
                return result;
            }
            call.check(what)?;
            let arrived = &self.shared.arrived;
            result = match call.patience() {
                None => arrived.wait(result).unwrap_or_else(PoisonError::into_inner),
                Some(left) => arrived.wait_timeout(result, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::error::Status;

    fn number(bytes: &[u8], revision: u64) -> Result<(usize, u64)> {
        Ok((bytes.len(), revision))
    }

    #[test]
    fn answers_come_from_any_thread() {
        let (reply, answer) = channel(number);
        let thread = std::thread::spawn(move || reply.bytes(b"abc", 7));
        assert_eq!(answer.wait(&Call::unbounded(), "test").unwrap(), (3, 7));
        thread.join().unwrap();
    }

    #[test]
    fn no_answer_is_an_error() {
        let (reply, answer) = channel(number);
        drop(reply);
        assert_eq!(answer.wait(&Call::unbounded(), "test").unwrap_err().status(), Status::Internal);

        let (reply, answer) = channel(number);
        let call = Call::unbounded().within(Duration::from_millis(5));
        assert_eq!(answer.wait(&call, "test").unwrap_err().status(), Status::Timeout);
        reply.bytes(b"too late", 0);
    }
}
