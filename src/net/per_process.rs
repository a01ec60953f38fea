//! Clients: made when they are needed, and anew in a forked child.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::Result;
use crate::sys::fork;

/// A value that belongs to the process that made it. Its connections are driven by that process's thread, so a child
/// never touches the parent's: it makes its own at its first use.
pub struct PerProcess<T> {
    made: Mutex<Option<(u64, Arc<T>)>>,
}

impl<T> PerProcess<T> {
    /// This process's value, made by `make` where there is none yet. `make` asks no network.
    pub fn get(&self, make: impl FnOnce() -> Result<T>) -> Result<Arc<T>> {
        let _no_fork = fork::no_fork();
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let generation = fork::generation();
        if let Some((owner, value)) = made.as_ref()
            && *owner == generation
        {
            return Ok(Arc::clone(value));
        }
        let value = Arc::new(make()?);
        std::mem::forget(made.replace((generation, Arc::clone(&value))));
        Ok(value)
    }
}

impl<T> Default for PerProcess<T> {
    fn default() -> PerProcess<T> {
        PerProcess { made: Mutex::new(None) }
    }
}

impl<T> fmt::Debug for PerProcess<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerProcess").finish_non_exhaustive()
    }
}

impl<T> Drop for PerProcess<T> {
    fn drop(&mut self) {
        let made = self.made.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((owner, value)) = made
            && owner != fork::generation()
        {
            std::mem::forget(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::fail;

    #[test]
    fn a_value_is_made_once_in_each_process() {
        let value = PerProcess::default();
        assert!(value.get(|| Err(fail!(Config, "not yet"))).is_err());
        assert_eq!(*value.get(|| Ok(1)).unwrap(), 1);
        assert_eq!(*value.get(|| Ok(2)).unwrap(), 1);
        assert_eq!(fork::testing::fork(|| *value.get(|| Ok(3)).unwrap()), 3);
        assert_eq!(*value.get(|| Ok(4)).unwrap(), 1);
    }
}
