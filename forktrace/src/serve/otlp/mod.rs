//! Findings as OpenTelemetry log records, by OTLP over HTTP with protobuf.
//!
//! A record is about the process that hangs: the resource is its workload, so that a collector can add what
//! it knows of its container or pod. What a receiver does not take now is kept, up to a bound, and sent when
//! it does.

mod record;
mod send;
mod settings;

use std::{io, sync::Arc, thread, time::Duration};

pub use self::settings::Settings;
use self::{
    record::Message,
    send::{Outcome, Sender},
};
use super::{
    alert::Alert,
    journal::{Journal, Level},
    metrics::How,
    queue::{Counts, Queue, Taker},
    service::Exporter,
};

/// Records that wait, at most.
const BOUND: usize = 1_024;
/// Records in one request, at most.
const BATCH: usize = 64;
/// The pause after the first request that failed, and the longest.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(30)];
/// A pause is left when the queue is closed.
const LOOK: Duration = Duration::from_millis(100);

/// The receiver that gets findings.
#[derive(Clone, Debug)]
pub struct Otlp(Queue<Message>);

impl Otlp {
    /// What it has not got yet is not to be waited for: another takes its place.
    pub fn close(&self) {
        self.0.close();
    }
}

/// Starts the thread that sends. `unix_offset_ns`: `CLOCK_REALTIME` minus `CLOCK_BOOTTIME`.
///
/// # Errors
/// When there can be no further thread, or a certificate cannot be read.
pub fn start(
    settings: Settings,
    journal: Journal,
    counts: Arc<Counts>,
    unix_offset_ns: i64,
) -> io::Result<Otlp> {
    let sender = Sender::new(&settings, unix_offset_ns)?;
    let queue = Queue::start("otlp", BOUND, counts, move |messages: Taker<Message>| {
        while let Some(first) = messages.take() {
            let mut batch = vec![first];
            while batch.len() < BATCH
                && let Some(next) = messages.take_now()
            {
                batch.push(next);
            }
            let sent = send(&sender, &batch, &messages, &journal);
            messages.done(batch.len(), sent);
        }
    })?;
    Ok(Otlp(queue))
}

/// Sends until the receiver takes it, or says that it never will. Whether it has.
fn send(sender: &Sender, batch: &[Message], messages: &Taker<Message>, journal: &Journal) -> bool {
    let [mut pause, longest] = PAUSES;
    let mut is_told = false;
    loop {
        match sender.send(batch) {
            Outcome::Taken => {
                if is_told {
                    journal.say(Level::Info, "the OTLP receiver takes findings again");
                }
                return true;
            }
            Outcome::Refused(why) => {
                journal.say(Level::Warning, format!("the OTLP receiver refuses findings: {why}"));
                return false;
            }
            Outcome::Later(why, after) => {
                if !is_told {
                    is_told = true;
                    let text = format!(
                        "the OTLP receiver does not take findings: {why}; up to {BOUND} are kept"
                    );
                    journal.say(Level::Warning, text);
                }
                let mut left = after.map_or(pause, |after| after.clamp(pause, longest));
                pause = (pause * 2).min(longest);
                while !left.is_zero() {
                    if messages.is_closed() {
                        return false;
                    }
                    thread::sleep(LOOK.min(left));
                    left = left.saturating_sub(LOOK);
                }
            }
        }
    }
}

impl Exporter for Otlp {
    fn name(&self) -> &'static str {
        "otlp"
    }

    fn counts(&self) -> &Counts {
        self.0.counts()
    }

    fn report(&self, alert: &Arc<Alert>) {
        self.0.put(Message::found(alert));
    }

    fn over(&self, alert: &Arc<Alert>, how: How, lasted_ns: u64) {
        self.0.put(Message::over(alert, how, lasted_ns));
    }
}

#[cfg(test)]
pub(in crate::serve) mod tests {
    pub(in crate::serve) use super::record::tests::alert;
}
