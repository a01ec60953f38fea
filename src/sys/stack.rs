//! What a call that has returned left on its thread's stack.

use std::cell::Cell;
use std::hint::black_box;
use std::mem::MaybeUninit;

use super::wipe::wipe_block;

/// Deeper than a request of an SDK goes (60 KiB, the first one 80); without optimisation its frames are several times as
/// large.
const DEPTH: usize = if cfg!(debug_assertions) { 512 * 1024 } else { 128 * 1024 };
/// More is not looked at: of a process's first thread without a limit (`ulimit -s unlimited`) glibc says that it has all
/// down to the heap, where coroutines have theirs.
const MOST: usize = 8 * 1024 * 1024;
/// Left alone at the stack's end.
const MARGIN: usize = 16 * 1024;
const BLOCK: usize = 4096;

/// Overwrites the stack below the caller: an SDK's JSON and base64 leave an unwrapped KEK there, which no allocator
/// wipes.
#[inline(never)]
pub fn wipe() {
    let local = 0;
    let here = address(&local);
    if let Some(end) = end_of_stack(here) {
        wipe_down_to(end.max(here.saturating_sub(DEPTH)));
    }
}

/// Block by block; how much of the stack each takes is the compiler's choice, so each looks where it is.
#[inline(never)]
fn wipe_down_to(end: usize) {
    let mut block = [MaybeUninit::uninit(); BLOCK];
    if address(&block) > end.saturating_add(2 * BLOCK) {
        wipe_down_to(black_box(end));
    }
    wipe_block(&mut block);
}

/// Whether the calling thread's stack has so many bytes left below the caller. Not where it is another than the thread's
/// own, such as a coroutine's, of which nobody knows.
#[inline(never)]
pub fn has_room(bytes: usize) -> bool {
    let local = 0;
    let here = address(&local);
    end_of_stack(here).is_some_and(|end| here.saturating_sub(end) >= bytes)
}

fn address<T>(local: &T) -> usize {
    std::ptr::from_ref(black_box(local)).addr()
}

thread_local! {
    /// The thread's own stack: where its use must end, and behind its last byte. Kept, since for a process's first thread
    /// glibc reads all of `/proc/self/maps`.
    static STACK: Cell<Option<(usize, usize)>> = const { Cell::new(None) };
}

/// Where the thread's stack must not be used any more; `None` where `here` is on another, such as a coroutine's.
fn end_of_stack(here: usize) -> Option<usize> {
    let (end, behind) = STACK.get().or_else(own_stack)?;
    STACK.set(Some((end, behind)));
    (end..behind).contains(&here).then_some(end)
}

fn own_stack() -> Option<(usize, usize)> {
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
    let (mut low, mut size, mut guard) = (std::ptr::null_mut(), 0, 0);
    // SAFETY: the attributes are read only where the first call has made them, and then ended; the other pointers are to
    // locals.
    let known = unsafe {
        libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr()) == 0 && {
            let known = libc::pthread_attr_getstack(attributes.as_ptr(), &mut low, &mut size) == 0
                && libc::pthread_attr_getguardsize(attributes.as_ptr(), &mut guard) == 0;
            libc::pthread_attr_destroy(attributes.as_mut_ptr());
            known
        }
    };
    let behind = low.addr().saturating_add(size);
    let end = low.addr().saturating_add(guard).max(behind.saturating_sub(MOST));
    known.then(|| (end.saturating_add(MARGIN), behind))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: u8 = 0xa7;

    #[inline(never)]
    fn leave_secrets() -> usize {
        let secrets = [SECRET; 8 * BLOCK];
        std::ptr::from_ref(black_box(&secrets)).addr()
    }

    /// How many bytes at this place of the calling thread's own stack are the secret's.
    fn count(place: usize) -> usize {
        let memory = std::fs::File::open("/proc/self/mem").unwrap();
        let mut found = vec![0; 8 * BLOCK];
        std::os::unix::fs::FileExt::read_exact_at(&memory, &mut found, place as u64).unwrap();
        found.iter().filter(|byte| **byte == SECRET).count()
    }

    #[test]
    fn what_a_call_left_is_overwritten() {
        let place = leave_secrets();
        assert!(count(place) > BLOCK, "nothing was left, so nothing is shown");
        wipe();
        assert!(count(place) < 100, "{} bytes are still there", count(place));
    }

    #[test]
    fn room_is_what_the_thread_was_given() {
        let room = |kib: usize, bytes: usize| {
            let thread = std::thread::Builder::new().stack_size(kib * 1024);
            thread.spawn(move || has_room(bytes)).unwrap().join().unwrap()
        };
        assert!(room(1024, 512 * 1024));
        assert!(!room(256, 512 * 1024));
        assert!(!room(64, 256 * 1024));
    }

    #[test]
    fn small_stacks_are_not_overrun() {
        for kib in [32, 64, 256, 8192] {
            let thread = std::thread::Builder::new().stack_size(kib * 1024);
            thread.spawn(wipe).unwrap().join().unwrap();
        }
    }
}
