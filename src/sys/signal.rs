//! Signals are the host's: the library's threads block them all.

/// Every signal is blocked on this thread while it lives.
pub struct Blocked {
    former: libc::sigset_t,
}

/// Blocks every signal on this thread; a thread started meanwhile keeps them blocked.
pub fn block_all() -> Blocked {
    // SAFETY: both sets are plain data for which all zeros is a valid value; sigfillset and pthread_sigmask get
    // pointers to live locals and can't fail with SIG_SETMASK.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        let mut former: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut former);
        Blocked { former }
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        // SAFETY: `former` is the mask that `block_all` got from the system.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.former, std::ptr::null_mut()) };
    }
}
