//! Memory straight from the kernel, for what must be neither swapped nor dumped.

use std::io;
use std::ptr::NonNull;

/// Whole pages of zeros, private to the process, given back when dropped. Whoever writes secrets there wipes
/// them first: the kernel zeroes pages only before it hands them to someone else.
#[derive(Debug)]
pub struct Pages {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: a mapping belongs to the process, not to a thread; `Pages` is its only owner.
unsafe impl Send for Pages {}
// SAFETY: shared references only give the address and change flags of the mapping, by system calls.
unsafe impl Sync for Pages {}

impl Pages {
    /// Maps `len` bytes of zeros, readable and writable; the kernel rounds up to whole pages.
    pub fn map(len: usize) -> io::Result<Pages> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new anonymous mapping at an address of the kernel's choice touches no memory of ours.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or_else(|| io::Error::other("mmap gave address 0"))?;
        Ok(Pages { start, len })
    }

    /// Keeps the pages out of swap, in this process: a child made by `fork` has them unlocked.
    pub fn lock(&self) -> io::Result<()> {
        // SAFETY: the range is ours until `drop`; locking changes no contents.
        check(unsafe { libc::mlock(self.start.as_ptr().cast(), self.len) })
    }

    /// Keeps the pages out of core dumps, in children too.
    pub fn exclude_from_dumps(&self) -> io::Result<()> {
        self.advise(libc::MADV_DONTDUMP)
    }

    /// Children made by `fork` or a raw `clone` find zeros here. Emulators accept this without doing it.
    pub fn wipe_on_fork(&self) -> io::Result<()> {
        self.advise(libc::MADV_WIPEONFORK)
    }

    /// The address of the first byte.
    pub fn start(&self) -> NonNull<u8> {
        self.start
    }

    fn advise(&self, advice: libc::c_int) -> io::Result<()> {
        // SAFETY: the range is ours until `drop`; the two kinds of advice used change no contents here.
        check(unsafe { libc::madvise(self.start.as_ptr().cast(), self.len, advice) })
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: the range came from `mmap` with this length, and nobody keeps pointers into it: the owner
        // of `Pages` hands out none that outlive it.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kernel's flags of the mapping that begins at `start`, where it tells them.
    fn flags(start: NonNull<u8>) -> Option<Vec<String>> {
        let maps = std::fs::read_to_string("/proc/self/smaps").ok()?;
        let begins = format!("{:x}-", start.as_ptr() as usize);
        let mut lines = maps.lines().skip_while(|line| !line.starts_with(&begins));
        let flags = lines.find_map(|line| line.strip_prefix("VmFlags:"))?;
        Some(flags.split_whitespace().map(str::to_owned).collect())
    }

    #[test]
    fn pages_are_zeros_and_have_the_flags_asked_for() {
        let pages = Pages::map(3 * 4096).unwrap();
        // SAFETY: the whole of a mapping just made, which nobody writes to.
        let bytes = unsafe { std::slice::from_raw_parts(pages.start().as_ptr(), 3 * 4096) };
        assert!(bytes.iter().all(|byte| *byte == 0));
        pages.exclude_from_dumps().unwrap();
        pages.wipe_on_fork().unwrap();
        pages.lock().unwrap();
        if let Some(flags) = flags(pages.start()) {
            for flag in ["dd", "wf", "lo"] {
                assert!(flags.iter().any(|f| f == flag), "{flag} is not among {flags:?}");
            }
        }
    }
}
