//! Counters of what goes on, through the `metrics` facade: whoever installs a recorder sees them.

use metrics::counter;

use crate::extract::Rejection;
use crate::reason::DisconnectReason;
use crate::recovery::RecoveryOutcome;

pub(crate) fn rejected(rejection: &Rejection) {
    counter!("fanfare_events_rejected_total", "reason" => rejection.label()).increment(1);
}

pub(crate) fn panicked() {
    counter!("fanfare_handler_panics_total").increment(1);
}

pub(crate) fn recovery(outcome: RecoveryOutcome) {
    let label = match outcome {
        RecoveryOutcome::NotAttempted => return,
        RecoveryOutcome::Recovered { .. } => "recovered",
        RecoveryOutcome::Failed(failure) => failure.label(),
    };
    counter!("fanfare_recoveries_total", "outcome" => label).increment(1);
}

pub(crate) fn disconnected(reason: DisconnectReason) {
    counter!("fanfare_disconnects_total", "reason" => reason.as_str()).increment(1);
}
