//! Heavy work of requests, on threads that may block: codecs, and walks over many data sets. As much
//! of it runs at once as there are cores, so that it never holds up a stream of somebody else.

use std::num::NonZero;
use std::sync::Arc;

use tokio::sync::Semaphore;

/// A bounded share of the blocking threads. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Workers {
    slots: Arc<Semaphore>,
}

impl Default for Workers {
    fn default() -> Self {
        Self::new()
    }
}

impl Workers {
    /// As many slots as there are cores.
    pub fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self { slots: Arc::new(Semaphore::new(cores)) }
    }

    /// Waits for a slot and runs `work` there. `None` where it panicked or we are stopping.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let slot = self.slots.clone().acquire_owned().await.ok()?;
        let done = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(slot);
            result
        });
        done.await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_that_panics_costs_nobody_a_slot() {
        let workers = Workers { slots: Arc::new(Semaphore::new(1)) };
        assert_eq!(workers.run(|| panic!("a bad frame")).await, None::<()>);
        assert_eq!(workers.run(|| 7).await, Some(7));
    }
}
