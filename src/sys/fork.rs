//! What must not survive a `fork`: nonces, and the parent's file locks.
//!
//! A forked child has the parent's memory. It would go on with the parent's nonces, it would hold the parent's
//! `flock`s, and a lock that another thread held at that moment would never be released.

use std::cell::{Cell, UnsafeCell};
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use super::memory::Pages;

static GENERATION: AtomicU64 = AtomicU64::new(1);
/// Points at a word that is 1, and 0 in a child whose kernel wiped it; null until the handlers are there.
static CANARY: AtomicPtr<AtomicU64> = AtomicPtr::new(std::ptr::null_mut());
/// Stands in where the kernel can't wipe on fork: then `pthread_atfork` is alone.
static NO_CANARY: AtomicU64 = AtomicU64::new(1);
static START: Once = Once::new();

/// A number that has grown in a child after each `fork`. Costs two loads.
///
/// Two ways find the fork out: a handler of `pthread_atfork`, which a raw `clone` passes by, and a page that
/// the kernel wipes in the child, which emulators don't.
#[inline]
pub fn generation() -> u64 {
    let canary = CANARY.load(Ordering::Acquire);
    // SAFETY: not null means that it points at `NO_CANARY` or into a page that is never unmapped.
    if !canary.is_null() && unsafe { &*canary }.load(Ordering::Acquire) != 0 {
        return GENERATION.load(Ordering::Relaxed);
    }
    generation_slow()
}

#[cold]
fn generation_slow() -> u64 {
    start();
    // SAFETY: `start` has set it; see `generation`.
    let canary = unsafe { &*CANARY.load(Ordering::Acquire) };
    if canary.load(Ordering::Acquire) == 0 {
        // First the number, then the sign that it is right. Two threads at once count twice, which is as good.
        GENERATION.fetch_add(1, Ordering::Relaxed);
        canary.store(1, Ordering::Release);
    }
    GENERATION.load(Ordering::Relaxed)
}

fn start() {
    START.call_once(|| {
        // Where this fails (no memory), the page is alone in finding forks out.
        // SAFETY: the three handlers are functions of this library, which is linked `-z nodelete`.
        unsafe { libc::pthread_atfork(Some(prepare), Some(in_parent), Some(in_child)) };
        let canary = match Pages::map(size_of::<AtomicU64>()) {
            Ok(page) if page.wipe_on_fork().is_ok() => {
                let word = page.start().cast::<AtomicU64>().as_ptr();
                std::mem::forget(page); // Lives as long as the process.
                word
            }
            _ => std::ptr::from_ref(&NO_CANARY).cast_mut(),
        };
        // SAFETY: points at a zeroed page that was just mapped and is never unmapped, or at a static.
        unsafe { &*canary }.store(1, Ordering::Release);
        CANARY.store(canary, Ordering::Release);
    });
}

static FORKING: Mutex<()> = Mutex::new(());

/// Where the thread that forks keeps its guard between the handlers.
struct Stash(UnsafeCell<Option<MutexGuard<'static, ()>>>);
// SAFETY: only the thread that holds `FORKING` touches it: `prepare` after locking, the others before unlocking.
unsafe impl Sync for Stash {}
static STASH: Stash = Stash(UnsafeCell::new(None));

/// While this lives, no thread of the process can `fork`: for short steps that a child must find done or not
/// begun, such as changing what a lock guards that the child will use. Never fork while holding it. Taken
/// before such a lock, always, so that the two can't wait for each other; a thread may hold several.
#[must_use]
#[derive(Debug)]
pub struct NoFork {
    /// `None` where this thread has one already.
    _guard: Option<MutexGuard<'static, ()>>,
}

thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// Waits for a `fork` under way, then holds off others.
pub fn no_fork() -> NoFork {
    start();
    let outermost = DEPTH.get() == 0;
    let guard = outermost.then(|| FORKING.lock().unwrap_or_else(PoisonError::into_inner));
    DEPTH.set(DEPTH.get() + 1);
    NoFork { _guard: guard }
}

impl Drop for NoFork {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
    }
}

static FORKS: AtomicU64 = AtomicU64::new(0);

/// How often this process has been about to fork: to notice a fork between two steps without holding it off.
pub fn forks() -> u64 {
    start();
    FORKS.load(Ordering::Acquire)
}

extern "C" fn prepare() {
    FORKS.fetch_add(1, Ordering::AcqRel);
    let guard = FORKING.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: this thread holds `FORKING`.
    unsafe { *STASH.0.get() = Some(guard) };
}

extern "C" fn in_parent() {
    // Again, before others may go on: who looked between the two must notice.
    FORKS.fetch_add(1, Ordering::AcqRel);
    // SAFETY: this thread holds `FORKING` since `prepare`.
    drop(unsafe { (*STASH.0.get()).take() });
}

extern "C" fn in_child() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
    let canary = CANARY.load(Ordering::Acquire);
    if !canary.is_null() {
        // SAFETY: as in `generation`. The child has one thread yet.
        unsafe { &*canary }.store(1, Ordering::Release);
    }
    for slot in &HELD {
        let fd = slot.swap(NONE, Ordering::AcqRel);
        if fd != NONE {
            // SAFETY: `close` may be called in a forked child; whoever registered the descriptor said that
            // nothing in a child uses it.
            unsafe { libc::close(fd) };
        }
    }
    in_parent();
}

const NONE: i32 = -1;
static HELD: [AtomicI32; 256] = [const { AtomicI32::new(NONE) }; 256];

/// Has the child close `fd` after a `fork`, so that it doesn't hold its parent's file lock (a `flock` belongs
/// to the open file, which both have). False where 256 are held already.
///
/// Hold within a [`no_fork`], and open anew where [`forks`] has grown since the file was opened: that child's copy
/// is not known here.
pub fn hold_fd(fd: RawFd) -> bool {
    start();
    HELD.iter().any(|slot| slot.compare_exchange(NONE, fd, Ordering::AcqRel, Ordering::Relaxed).is_ok())
}

/// Takes back what [`hold_fd`] said; before the descriptor is closed.
pub fn release_fd(fd: RawFd) {
    for slot in &HELD {
        if slot.compare_exchange(fd, NONE, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            return;
        }
    }
}

/// Children for tests.
#[cfg(test)]
pub(crate) mod testing {
    use std::fs::File;
    use std::io::Read;
    use std::os::fd::FromRawFd;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    /// Runs `child` in a forked child and gives its exit code; 101 when it panicked.
    pub(crate) fn fork(child: impl FnOnce() -> i32) -> i32 {
        // SAFETY: the child only runs `child`, without the locks that other threads of the test may hold (those
        // of this library and of malloc are free after a fork), and exits.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0, "fork failed");
        if pid == 0 {
            let code = catch_unwind(AssertUnwindSafe(child)).unwrap_or(101);
            // SAFETY: ends the child at once, without the parent's exit handlers.
            unsafe { libc::_exit(code) };
        }
        let mut status = 0;
        // SAFETY: waits for the child just made.
        assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
        assert!(libc::WIFEXITED(status), "the child crashed: {status}");
        libc::WEXITSTATUS(status)
    }

    /// Runs `child` in a forked child, which must give 0, and gives what it wrote: at most 64 KiB, which is
    /// what a pipe holds until someone reads.
    pub(crate) fn fork_and_read(child: impl FnOnce(&mut File) -> i32) -> Vec<u8> {
        let mut ends = [0; 2];
        // SAFETY: writes two descriptors, which the two files then own.
        let (mut output, mut input) = unsafe {
            assert_eq!(libc::pipe(ends.as_mut_ptr()), 0);
            (File::from_raw_fd(ends[0]), File::from_raw_fd(ends[1]))
        };
        assert_eq!(fork(|| child(&mut input)), 0);
        drop(input);
        let mut bytes = Vec::new();
        output.read_to_end(&mut bytes).unwrap();
        bytes
    }

    /// Takes this process (a child) all rights to lock memory.
    pub(crate) fn forbid_locking() {
        let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: reads the limit. The raw call of `setuid` changes this thread, the child's only one; where the
        // test is not run by root it fails, and root's exemption is not there to be given up.
        unsafe {
            assert_eq!(libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const none), 0);
            libc::syscall(libc::SYS_setuid, 65534);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::fork;
    use super::*;
    use std::fs::File;
    use std::os::fd::AsRawFd;
    use std::sync::Barrier;

    #[test]
    fn the_generation_grows_in_the_child_and_in_its_child() {
        let before = generation();
        let code = fork(|| {
            let child = generation();
            let grandchild = fork(|| i32::from(generation() > child));
            i32::from(child > before && generation() == child) * 2 + grandchild
        });
        assert_eq!(code, 3);
        assert_eq!(generation(), before);
    }

    #[test]
    fn a_raw_clone_counts_by_the_wiped_page() {
        let before = generation();
        // SAFETY: as `fork`, without the handlers: nothing but `generation` and `_exit` runs in the child.
        let pid = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) } as libc::pid_t;
        assert!(pid >= 0, "clone failed");
        if pid == 0 {
            let grown = generation() > before;
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(i32::from(grown)) };
        }
        let mut status = 0;
        // SAFETY: waits for the child just made.
        assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
        let canary = CANARY.load(Ordering::Acquire);
        if !std::ptr::eq(canary, &NO_CANARY) && kernel_wipes() {
            assert_eq!(libc::WEXITSTATUS(status), 1);
        }
    }

    /// Whether MADV_WIPEONFORK does what it says, which it doesn't in an emulator.
    fn kernel_wipes() -> bool {
        let page = Pages::map(8).unwrap();
        page.wipe_on_fork().unwrap();
        let word = page.start().cast::<AtomicU64>();
        // SAFETY: in a page of zeros, aligned, alive until the end.
        let word = unsafe { word.as_ref() };
        word.store(7, Ordering::Relaxed);
        fork(|| i32::from(word.load(Ordering::Relaxed) == 0)) == 1
    }

    #[test]
    fn a_child_closes_held_descriptors_and_only_those() {
        let (held, released) = (File::open("/dev/null").unwrap(), File::open("/dev/null").unwrap());
        let (a, b) = (held.as_raw_fd(), released.as_raw_fd());
        assert!(hold_fd(a) && hold_fd(b));
        release_fd(b);
        // SAFETY: asks for the flags of a descriptor; a closed one is an error, not undefined.
        let is_open = |fd| unsafe { libc::fcntl(fd, libc::F_GETFD) } >= 0;
        assert_eq!(fork(|| i32::from(!is_open(a)) * 2 + i32::from(is_open(b))), 3);
        assert!(is_open(a));
        release_fd(a);
    }

    #[test]
    fn no_fork_holds_a_fork_off() {
        let (released, started) = (AtomicI32::new(0), Barrier::new(2));
        let guard = no_fork();
        std::thread::scope(|scope| {
            let forker = scope.spawn(|| {
                started.wait();
                fork(|| released.load(Ordering::Relaxed) + i32::from(FORKING.try_lock().is_ok()))
            });
            started.wait();
            // Time enough for a fork that nothing holds off.
            (0..1000).for_each(|_| std::thread::yield_now());
            released.store(2, Ordering::Relaxed);
            drop(guard);
            assert_eq!(forker.join().unwrap(), 3);
        });
    }
}
