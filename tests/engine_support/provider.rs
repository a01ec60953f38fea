//! A provider that does as the test says.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use cyborg_kms::error::{Error, Result, Status};
use cyborg_kms::provider::ExternalCallbacks;
use cyborg_kms::reply::Reply;

/// How a provider answers.
#[derive(Debug, Clone)]
pub enum Behaviour {
    Work,
    Fail(Status),
    /// Until `release`, then it works.
    Hang,
    /// From another thread, after the callback returned.
    Later,
    /// So many bytes.
    Bytes(usize),
    /// Drops the reply.
    Drop,
    Panic,
}

/// "Wraps" by XOR with a byte of the key's name, behind the length of the AAD and the AAD itself.
#[derive(Debug)]
pub struct Provider {
    pub wraps: AtomicUsize,
    pub unwraps: AtomicUsize,
    /// Calls whose answer is decided.
    pub decided: AtomicUsize,
    behaviour: Mutex<Behaviour>,
    /// Answers for the next calls, before `behaviour`.
    next: Mutex<VecDeque<Behaviour>>,
    released: Mutex<bool>,
    /// What those that hung answer instead of their work.
    refusal: Mutex<Option<Status>>,
    woken: Condvar,
    pub waiting: AtomicUsize,
    pub dropped: Arc<AtomicUsize>,
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

impl Provider {
    pub fn new() -> Arc<Provider> {
        Arc::new(Provider {
            wraps: AtomicUsize::new(0),
            unwraps: AtomicUsize::new(0),
            decided: AtomicUsize::new(0),
            behaviour: Mutex::new(Behaviour::Work),
            next: Mutex::default(),
            released: Mutex::new(false),
            refusal: Mutex::default(),
            woken: Condvar::new(),
            waiting: AtomicUsize::new(0),
            dropped: Arc::default(),
        })
    }

    pub fn set(&self, behaviour: Behaviour) {
        if matches!(behaviour, Behaviour::Hang) {
            self.hold();
        }
        *self.behaviour.lock().unwrap() = behaviour;
    }

    /// What hangs from now on waits for the next `release`.
    pub fn hold(&self) {
        *self.released.lock().unwrap() = false;
    }

    pub fn next(&self, behaviour: Behaviour) {
        self.next.lock().unwrap().push_back(behaviour);
    }

    pub fn release(&self) {
        *self.released.lock().unwrap() = true;
        self.woken.notify_all();
    }

    /// Those that hang refuse when they are released.
    pub fn refuse_released(&self, status: Status) {
        *self.refusal.lock().unwrap() = Some(status);
    }

    pub fn unwraps(&self) -> usize {
        self.unwraps.load(Ordering::SeqCst)
    }

    fn answer(&self, reply: Reply, good: Result<Vec<u8>>) {
        let behaviour = self.next.lock().unwrap().pop_front();
        let behaviour = behaviour.unwrap_or_else(|| self.behaviour.lock().unwrap().clone());
        self.decided.fetch_add(1, Ordering::SeqCst);
        let give = move |reply: Reply| match good {
            Ok(bytes) => reply.bytes(&bytes, 0),
            Err(error) => reply.error(error),
        };
        match behaviour {
            Behaviour::Work => give(reply),
            Behaviour::Fail(status) => {
                reply.error(Error::new(status, "as the test said").with_provider("TestCode", "r1"))
            }
            Behaviour::Hang => {
                self.waiting.fetch_add(1, Ordering::SeqCst);
                let mut released = self.released.lock().unwrap();
                while !*released {
                    released = self.woken.wait(released).unwrap();
                }
                drop(released);
                self.waiting.fetch_sub(1, Ordering::SeqCst);
                match *self.refusal.lock().unwrap() {
                    Some(status) => reply.error(Error::new(status, "as the test said")),
                    None => give(reply),
                }
            }
            Behaviour::Later => drop(std::thread::spawn(move || give(reply))),
            Behaviour::Bytes(len) => reply.bytes(&vec![0x5a; len], 0),
            Behaviour::Drop => drop(reply),
            Behaviour::Panic => panic!("the provider's callback panics"),
        }
    }
}

fn mask(key_id: &str) -> u8 {
    key_id.bytes().fold(0x5a, |mask, byte| mask.rotate_left(3) ^ byte)
}

/// The provider's wrap, for records that a test makes by itself.
pub fn wrap_by(key_id: &str, aad: &[u8], kek: &[u8]) -> Vec<u8> {
    let mut wrapped = vec![u8::try_from(aad.len()).unwrap()];
    wrapped.extend_from_slice(aad);
    wrapped.extend(kek.iter().map(|byte| byte ^ mask(key_id)));
    wrapped
}

fn unwrap_by(key_id: &str, aad: &[u8], wrapped: &[u8]) -> Result<Vec<u8>> {
    let refused = || Error::new(Status::AuthenticationFailed, "the wrap is not this key's");
    let (&len, rest) = wrapped.split_first().ok_or_else(refused)?;
    let (bound, kek) = rest.split_at_checked(usize::from(len)).ok_or_else(refused)?;
    if bound != aad {
        return Err(refused());
    }
    Ok(kek.iter().map(|byte| byte ^ mask(key_id)).collect())
}

impl ExternalCallbacks for Provider {
    fn wrap(&self, key_id: &str, aad: &[u8], plaintext: &[u8], reply: Reply) {
        self.wraps.fetch_add(1, Ordering::SeqCst);
        self.answer(reply, Ok(wrap_by(key_id, aad, plaintext)));
    }

    fn unwrap(&self, key_id: &str, aad: &[u8], wrapped: &[u8], reply: Reply) {
        self.unwraps.fetch_add(1, Ordering::SeqCst);
        self.answer(reply, unwrap_by(key_id, aad, wrapped));
    }
}
