//! Publication of the internal counters to the `metrics` facade.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Once};

use fanfare_engine::{Protocol, Transport};
use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge};

use super::{BYTES_OUT, EVENTS_IN, EVENTS_OUT, NamespaceStats, ServerStats, index, protocol_label};

/// Values that have been published. Differences are passed to the facade, so that several servers of one process add
/// up.
#[derive(Debug, Default)]
pub(crate) struct Published {
    bytes_in: u64,
    connections: [[i64; 2]; 2],
    namespaces: HashMap<Arc<str>, ([u64; 3], i64)>,
    pub(crate) handlers: usize,
    /// Part of the connections that is sampled next.
    pub(crate) part: usize,
}

impl ServerStats {
    pub(crate) fn publish(&self, published: &mut Published) {
        static DESCRIBED: Once = Once::new();
        DESCRIBED.call_once(describe);
        counter!("fanfare_received_bytes_total")
            .increment(advance(&mut published.bytes_in, self.bytes_in.sum(0)));
        for protocol in [Protocol::V3, Protocol::V4] {
            for transport in [Transport::Polling, Transport::WebSocket] {
                let (p, t) = index(protocol, transport);
                let now = self.connections[p][t].load(Ordering::Relaxed);
                let before = std::mem::replace(&mut published.connections[p][t], now);
                let (protocol, transport) = (protocol_label(protocol), transport.name());
                gauge!("fanfare_connections", "protocol" => protocol, "transport" => transport)
                    .increment((now - before) as f64);
            }
        }
        let namespaces: Vec<Arc<NamespaceStats>> =
            self.namespaces.read().values().cloned().collect();
        for namespace in namespaces.iter().chain([&self.other]) {
            let label = &namespace.label;
            let (counts, sockets) = published.namespaces.entry(label.clone()).or_default();
            let counters = [
                counter!("fanfare_events_received_total", "namespace" => label.clone()),
                counter!("fanfare_events_sent_total", "namespace" => label.clone()),
                counter!("fanfare_sent_bytes_total", "namespace" => label.clone()),
            ];
            for (which, counter) in [EVENTS_IN, EVENTS_OUT, BYTES_OUT].into_iter().zip(counters) {
                counter.increment(advance(&mut counts[which], namespace.counts.sum(which)));
            }
            let now = namespace.sockets.load(Ordering::Relaxed);
            let before = std::mem::replace(sockets, now);
            gauge!("fanfare_sockets", "namespace" => label.clone())
                .increment((now - before) as f64);
        }
    }
}

fn advance(published: &mut u64, now: u64) -> u64 {
    now.wrapping_sub(std::mem::replace(published, now))
}

fn describe() {
    describe_gauge!("fanfare_connections", "Open connections");
    describe_gauge!("fanfare_sockets", "Sockets connected to a namespace");
    describe_gauge!(
        "fanfare_handlers_running",
        "Handlers that run in separate tasks"
    );
    describe_counter!("fanfare_connections_opened_total", "Connections opened");
    describe_counter!(
        "fanfare_connections_closed_total",
        "Connections closed, by reason"
    );
    describe_counter!(
        "fanfare_upgrades_total",
        "Sessions that moved from polling to WebSocket"
    );
    describe_counter!(
        "fanfare_disconnects_total",
        "Sockets disconnected, by reason"
    );
    describe_counter!("fanfare_events_received_total", "Events received");
    describe_counter!(
        "fanfare_events_sent_total",
        "Events sent, each recipient counted"
    );
    describe_counter!(
        "fanfare_received_bytes_total",
        Unit::Bytes,
        "Bytes of messages received"
    );
    describe_counter!(
        "fanfare_sent_bytes_total",
        Unit::Bytes,
        "Bytes of events sent"
    );
    describe_counter!(
        "fanfare_outbox_full_total",
        "Messages not sent because the outbox was full"
    );
    describe_histogram!(
        "fanfare_outbox_bytes",
        Unit::Bytes,
        "Bytes waiting per connection"
    );
    describe_counter!(
        "fanfare_acks_total",
        "Acknowledgements waited for, by outcome"
    );
    describe_histogram!(
        "fanfare_ack_seconds",
        Unit::Seconds,
        "Time until an acknowledgement came"
    );
    describe_counter!(
        "fanfare_recoveries_total",
        "Connections that wanted to be recovered"
    );
    describe_counter!("fanfare_rejected_total", "What was rejected, by cause");
    describe_counter!(
        "fanfare_malformed_packets_total",
        "Packets that were none, by kind"
    );
    describe_counter!(
        "fanfare_events_rejected_total",
        "Events that did not fit their handler"
    );
    describe_counter!("fanfare_handler_panics_total", "Handlers that panicked");
    describe_counter!(
        "fanfare_hook_panics_total",
        "Other functions of the application that panicked, by hook"
    );
}
