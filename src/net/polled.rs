//! Polling a future without the host's signal handlers, and without the threads that it starts taking signals.

use std::future::{Future, poll_fn};
use std::pin::pin;

use crate::sys::signal;

/// The same future, polled with all signals blocked: a thread that tokio starts meanwhile (to look a name up)
/// inherits that. While it waits signals arrive as ever.
pub(super) async fn signals_blocked<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|context| {
        let _blocked = signal::block_all();
        future.as_mut().poll(context)
    })
    .await
}
