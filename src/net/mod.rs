//! The network: one thread that drives the connections, started when the first request needs it. The requests
//! themselves run on their callers' threads, where these have the stack for it.

mod per_process;
mod polled;

use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

pub use per_process::PerProcess;

use crate::call::Call;
use crate::error::{Result, fail};
use crate::runtime::{adopt_thread, is_library_thread};
use crate::sys::{fork, signal, stack};

/// The stack that a request is given: an SDK's first one takes 80 KiB of it, where it is optimised, and more where a role's
/// credentials are fetched within it.
const ROOM: usize = if cfg!(debug_assertions) { 1024 * 1024 } else { 512 * 1024 };
const STACK: usize = 2 * ROOM;
/// How long the end of a network waits for a name that is just being looked up.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// Runs requests. Shared by what belongs together (an engine's providers and its store); its thread ends with the
/// last of them.
#[derive(Debug, Default)]
pub struct Network {
    started: Mutex<Option<Started>>,
}

#[derive(Debug)]
struct Started {
    runtime: tokio::runtime::Runtime,
    generation: u64,
}

impl Network {
    /// Runs a request until it ends or the call does: `TIMEOUT` or `CANCELLED`, with `what` in front. `request` begins it
    /// where it runs: an SDK's are too large to be passed around on the caller's stack.
    pub fn run<T, F>(&self, call: &Call, what: &str, request: impl FnOnce() -> F + Send) -> Result<T>
    where
        T: Send,
        F: Future<Output = Result<T>> + Send,
    {
        call.check(what)?;
        let handle = self.handle()?;
        let wait = || {
            let result = ask(&handle, call, what, request);
            stack::wipe();
            result
        };
        // A Rust program's own asynchronous thread, on which tokio would refuse to wait.
        let is_asynchronous = tokio::runtime::Handle::try_current().is_ok() && !is_library_thread();
        if is_asynchronous || !stack::has_room(ROOM) { on_another_thread(wait) } else { wait() }
    }

    fn handle(&self) -> Result<tokio::runtime::Handle> {
        let _no_fork = fork::no_fork();
        let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        let generation = fork::generation();
        if let Some(parents) = started.take_if(|current| current.generation != generation) {
            // Its thread does not exist here: waiting for it would be for ever.
            std::mem::forget(parents);
        }
        if let Some(current) = started.as_ref() {
            return Ok(current.runtime.handle().clone());
        }
        let runtime = build()?;
        let handle = runtime.handle().clone();
        *started = Some(Started { runtime, generation });
        Ok(handle)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let started = self.started.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Started { runtime, generation }) = started else { return };
        if generation != fork::generation() {
            std::mem::forget(runtime);
        } else if tokio::runtime::Handle::try_current().is_ok() && !is_library_thread() {
            runtime.shutdown_background();
        } else {
            runtime.shutdown_timeout(LAST_WAIT);
        }
    }
}

fn build() -> Result<tokio::runtime::Runtime> {
    let _blocked = signal::block_all();
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("cyborg-kms-net")
        .on_thread_start(adopt_thread)
        .enable_io()
        .enable_time()
        .build()
        .map_err(|error| {
            let advice = "raise the limits on open files and processes (ulimit -n, ulimit -u)";
            fail!(Internal, "the network's thread could not be started ({error}): {advice}")
        })
}

/// In a frame of its own, which is wiped with all below it. The request is on the heap, whose wiping is the allocator's.
#[inline(never)]
fn ask<T, F>(
    handle: &tokio::runtime::Handle,
    call: &Call,
    what: &str,
    request: impl FnOnce() -> F,
) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    handle.block_on(polled::signals_blocked(until_the_end_of(call, what, Box::pin(request()))))
}

/// Does it on a thread of its own, and waits for that: hosts have threads and coroutines with small stacks.
fn on_another_thread<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let started = {
            let _blocked = signal::block_all();
            let thread = std::thread::Builder::new().name("cyborg-kms-call".to_owned()).stack_size(STACK);
            thread.spawn_scoped(scope, work)
        };
        match started {
            Ok(waiting) => waiting.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Err(error) => {
                Err(fail!(Internal, "no thread could be started ({error}): raise ulimit -u")
                    .with_retryable(true))
            }
        }
    })
}

async fn until_the_end_of<T>(
    call: &Call,
    what: &str,
    mut request: impl Future<Output = Result<T>> + Unpin,
) -> Result<T> {
    loop {
        let Some(patience) = call.patience() else { return request.await };
        if let Ok(result) = tokio::time::timeout(patience, &mut request).await {
            return result;
        }
        call.check(what)?;
    }
}

/// The error of a request that got no answer, with the whole chain of causes: the last one says what to do.
pub fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    causes_that(error, |_| true)
}

/// The same with those of the causes alone whose text may be shown.
pub fn causes_that(error: &(dyn std::error::Error + 'static), may_be_shown: impl Fn(&str) -> bool) -> String {
    let mut text = String::new();
    let mut cause = Some(error);
    while let Some(error) = cause {
        let more = error.to_string();
        // Many errors repeat their cause.
        if !text.contains(&more) && may_be_shown(&more) {
            text = if text.is_empty() { more } else { format!("{text}: {more}") };
        }
        cause = error.source();
    }
    text
}

/// The address of a service without what may be secret in it, for messages.
pub fn shown_address(url: &str) -> &str {
    let end = url.find('?').unwrap_or(url.len());
    url[..end].rsplit_once('@').map_or(&url[..end], |(_, host)| host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::CancelToken;
    use crate::error::Status;

    async fn never() -> Result<()> {
        std::future::pending().await
    }

    #[test]
    fn a_request_ends_with_its_call() {
        let network = Network::default();
        let brief = Call::unbounded().within(Duration::from_millis(5));
        assert_eq!(network.run(&brief, "test", never).unwrap_err().status(), Status::Timeout);

        let token = CancelToken::default();
        let call = Call::unbounded().cancelled_by(&token);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| network.run(&call, "test", never).unwrap_err().status());
            token.cancel();
            assert_eq!(waiting.join().unwrap(), Status::Cancelled);
        });
        assert_eq!(network.run(&Call::unbounded(), "test", || async { Ok(7) }).unwrap(), 7);
    }

    #[test]
    fn it_serves_asynchronous_programs_too() {
        let network = Network::default();
        let program = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let answer = program.block_on(async { network.run(&Call::unbounded(), "test", || async { Ok(7) }) });
        assert_eq!(answer.unwrap(), 7);
        program.block_on(async move { drop(network) });
    }

    #[test]
    fn it_serves_threads_with_small_stacks() {
        #[inline(never)]
        fn much_of_the_stack() -> usize {
            std::hint::black_box([1_u8; ROOM / 2]).iter().map(|byte| usize::from(*byte)).sum()
        }
        let network = Network::default();
        let small = std::thread::Builder::new().stack_size(128 * 1024);
        let answer = std::thread::scope(|scope| {
            let ask = || network.run(&Call::unbounded(), "test", || async { Ok(much_of_the_stack()) });
            small.spawn_scoped(scope, ask).unwrap().join().unwrap()
        });
        assert_eq!(answer.unwrap(), ROOM / 2);
    }

    #[test]
    fn a_child_starts_its_own() {
        let network = Network::default();
        network.run(&Call::unbounded(), "test", || async { Ok(()) }).unwrap();
        let code = crate::sys::fork::testing::fork(|| {
            let slept = || async {
                tokio::time::sleep(Duration::from_millis(1)).await;
                Ok(())
            };
            i32::from(network.run(&Call::unbounded(), "test", slept).is_err())
        });
        assert_eq!(code, 0);
    }

    #[test]
    fn addresses_are_shown_without_secrets() {
        assert_eq!(shown_address("https://user:pass@proxy:8080/?token=1"), "proxy:8080/");
        assert_eq!(shown_address("http://127.0.0.1:4566"), "http://127.0.0.1:4566");
    }
}
