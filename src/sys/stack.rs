//! What a call that has returned left on its thread's stack.

use std::hint::black_box;
use std::mem::MaybeUninit;

use zeroize::Zeroize;

/// As deep as a request of an SDK goes, in a build without optimisation too.
const DEPTH: usize = 128 * 1024;
/// Left alone at the stack's end.
const MARGIN: usize = 16 * 1024;
const BLOCK: usize = 4096;

/// Overwrites the stack below the caller: an SDK's JSON and base64 leave an unwrapped KEK there, which no allocator
/// wipes.
#[inline(never)]
pub fn wipe() {
    wipe_blocks(room().min(DEPTH) / BLOCK);
}

/// Block by block, so that it is as deep as there is room.
#[inline(never)]
fn wipe_blocks(left: usize) {
    if left == 0 {
        return;
    }
    let mut block = [0; BLOCK];
    wipe_blocks(black_box(left - 1));
    block.zeroize();
    black_box(&mut block);
}

/// How much of the thread's stack lies below the caller; 0 on a stack that is not the thread's, such as a coroutine's.
fn room() -> usize {
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
    let (mut low, mut size) = (std::ptr::null_mut(), 0);
    // SAFETY: the attributes are read only where the first call has made them, and then ended; the other pointers are to
    // locals.
    let known = unsafe {
        libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr()) == 0 && {
            let known = libc::pthread_attr_getstack(attributes.as_ptr(), &mut low, &mut size) == 0;
            libc::pthread_attr_destroy(attributes.as_mut_ptr());
            known
        }
    };
    let marker = 0_u8;
    let (here, low) = (std::ptr::from_ref(black_box(&marker)).addr(), low.addr());
    let is_ours = known && (low..low.saturating_add(size)).contains(&here);
    if is_ours { (here - low).saturating_sub(MARGIN) } else { 0 }
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
    fn small_stacks_are_not_overrun() {
        for kib in [32, 64, 256, 8192] {
            let thread = std::thread::Builder::new().stack_size(kib * 1024);
            thread.spawn(wipe).unwrap().join().unwrap();
        }
    }
}
