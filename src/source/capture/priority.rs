//! Who goes first when processors are short. A frame that waits for one is late, so a capture thread runs
//! before all that serve readers, where the service may have that (`LimitRTPRIO=`, `CAP_SYS_NICE`): it works
//! for some milliseconds of a frame's time and sleeps. Threads inherit this from the one that starts them,
//! and those that compress would keep readers waiting: they go back to the ordinary.

use thread_priority::{
    Error, NormalThreadSchedulePolicy, RealtimeThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};

/// Nice 0 on the crate's scale from 0 to 99.
const ORDINARY: u8 = 48;

/// Lets this thread run before all ordinary ones.
///
/// # Errors
/// When the service may not have that.
pub(super) fn first() -> Result<(), Error> {
    let policy = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo);
    set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, policy)
}

/// Makes this thread an ordinary one.
///
/// # Errors
/// Never for a process of ordinary priority, whoever it belongs to.
pub(super) fn ordinary() -> Result<(), Error> {
    let policy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Other);
    let ordinary = ORDINARY.try_into().map_err(|_| Error::Priority("nice 0 is not on the scale"))?;
    let priority = ThreadPriority::Crossplatform(ordinary);
    set_thread_priority_and_policy(thread_native_id(), priority, policy)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// Policy, and niceness, of this thread: fields 41 and 19 of its line (proc(5)).
    fn scheduling() -> (String, String) {
        let line = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        let fields: Vec<&str> = line.rsplit(')').next().unwrap().split_whitespace().collect();
        (fields[38].to_owned(), fields[16].to_owned())
    }

    #[test]
    fn an_ordinary_thread_is_one_whoever_started_it() {
        let before = scheduling();
        thread::spawn(move || {
            if first().is_err() {
                eprintln!("this process may not have real-time priority: only half is tried");
            } else {
                assert_eq!(scheduling().0, "1");
            }
            let child = thread::spawn(|| ordinary().map(|()| scheduling()));
            let (policy, nice) = child.join().unwrap().unwrap();
            assert_eq!(policy, "0");
            // Of a process that is nice itself it would take a right to be less so.
            assert!(nice == "0" || nice == before.1, "{nice}");
        })
        .join()
        .unwrap();
    }
}
