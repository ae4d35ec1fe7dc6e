//! A task for each peer of the configuration, which follows reloads: what has come is started, what has
//! gone or is another now is ended.

use std::collections::BTreeMap;
use std::future::Future;

use tokio::task::{AbortHandle, JoinSet};

/// The tasks of the sections of one kind.
#[derive(Debug)]
pub struct Tasks<S> {
    set: JoinSet<()>,
    running: BTreeMap<String, (S, AbortHandle)>,
}

impl<S> Default for Tasks<S> {
    fn default() -> Self {
        Self { set: JoinSet::new(), running: BTreeMap::new() }
    }
}

impl<S: Clone + PartialEq> Tasks<S> {
    /// Makes the tasks those of `wanted`; `start` makes one, unless it cannot. Gives the names of sections that
    /// have gone.
    pub fn follow<F: Future<Output = ()> + Send + 'static>(
        &mut self,
        wanted: &BTreeMap<String, S>,
        start: impl Fn(&str, &S) -> Option<F>,
    ) -> Vec<String> {
        while self.set.try_join_next().is_some() {}
        let mut gone = Vec::new();
        self.running.retain(|name, (settings, task)| {
            let stays = wanted.get(name) == Some(settings);
            if !stays {
                task.abort();
            }
            if !wanted.contains_key(name) {
                gone.push(name.clone());
            }
            stays
        });
        for (name, settings) in wanted {
            if !self.running.contains_key(name)
                && let Some(task) = start(name, settings)
            {
                self.running.insert(name.clone(), (settings.clone(), self.set.spawn(task)));
            }
        }
        gone
    }

    /// Waits until all have ended by themselves.
    pub async fn join(mut self) {
        while self.set.join_next().await.is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[tokio::test]
    async fn only_what_changes_is_started_again() {
        let started = Mutex::new(Vec::new());
        let start = |name: &str, settings: &u8| {
            started.lock().unwrap().push(format!("{name}{settings}"));
            Some(std::future::pending())
        };
        let wanted = |pairs: &[(&str, u8)]| {
            pairs.iter().map(|&(name, settings)| (name.to_owned(), settings)).collect::<BTreeMap<_, _>>()
        };
        let mut tasks = Tasks::default();
        assert!(tasks.follow(&wanted(&[("a", 1), ("b", 1), ("c", 1)]), start).is_empty());
        assert_eq!(tasks.follow(&wanted(&[("a", 1), ("b", 2), ("d", 1)]), start), ["c"]);
        assert_eq!(*started.lock().unwrap(), ["a1", "b1", "c1", "b2", "d1"]);
        assert_eq!(tasks.follow(&wanted(&[]), start), ["a", "b", "d"]);
        // All are ended: this returns.
        tasks.join().await;
    }
}
