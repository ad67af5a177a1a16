//! Scenarios of the benchmark.

use super::servers::OURS;

/// Part of the report to which a scenario belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Compared with the peers, operations per CPU second.
    Work,
    /// Compared with the peers, bytes per connection.
    Idle,
    /// Growth of Fanfare's cost.
    Growth,
    /// Over TLS.
    Tls,
    /// At half of the server's capacity.
    Half,
    /// With two cores for the server.
    Cores,
}

/// Load of a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    /// As high as the window allows.
    Closed,
    /// Half of this server's rate in that scenario.
    HalfOf(&'static str),
    /// Half of the best peer's rate in that scenario.
    HalfOfBest(&'static str),
    /// As high as the window allows, while the latency of other clients is measured.
    WithProbe,
    /// As high as the window allows, with the server on all cores.
    AllCores,
}

/// Scenario of the benchmark.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// Description, in a few words.
    pub(crate) about: &'static str,
    /// Arguments of the load generator.
    pub(crate) args: &'static str,
    pub(crate) part: Part,
    pub(crate) load: Load,
}

const fn scenario(
    name: &'static str,
    part: Part,
    about: &'static str,
    args: &'static str,
) -> Scenario {
    Scenario {
        name,
        about,
        args,
        part,
        load: Load::Closed,
    }
}

const fn at(load: Load, scenario: Scenario) -> Scenario {
    Scenario { load, ..scenario }
}

/// Arguments of the clients whose latency is measured during broadcasts: some echo, some join and leave rooms, at a low
/// rate.
pub(crate) const PROBES: [&str; 2] = [
    "echo --clients 20 --rate 400 --warmup 0.5",
    "membership --clients 20 --rate 400 --warmup 0.5",
];

/// Scenarios in the order in which they run: those that need the results of others come later.
pub(crate) const SCENARIOS: &[Scenario] = &[
    scenario(
        "fanout-1",
        Part::Work,
        "1,000 clients, one broadcast of 64 bytes in flight",
        "fanout --clients 1000 --window 1",
    ),
    scenario(
        "fanout-16",
        Part::Work,
        "the same with 16 in flight",
        "fanout --clients 1000 --window 16",
    ),
    scenario(
        "rooms-16",
        Part::Work,
        "1,000 clients in 5 of 100 rooms each, 16 messages to rooms in flight",
        "rooms --clients 1000 --rooms 100 --join 5 --window 16",
    ),
    scenario(
        "binary-16",
        Part::Work,
        "as fanout-16 with an attachment of 256 bytes",
        "binary --clients 1000 --window 16 --payload 256",
    ),
    scenario(
        "echo-1",
        Part::Work,
        "200 clients, one emit with acknowledgement each",
        "echo --clients 200 --window 1",
    ),
    scenario(
        "echo-16",
        Part::Work,
        "the same with 16 each",
        "echo --clients 200 --window 16",
    ),
    scenario(
        "polling",
        Part::Work,
        "200 clients by long-polling, one emit with acknowledgement each",
        "polling --clients 200 --window 1 --concurrency 50",
    ),
    scenario(
        "connect",
        Part::Work,
        "from TCP to joined and closed again, 64 at a time",
        "connect --clients 64",
    ),
    scenario(
        "idle-10k",
        Part::Idle,
        "10,000 connections that do nothing",
        "idle --clients 10000 --warmup 0.5 --secs 3",
    ),
    scenario(
        "idle-1k",
        Part::Growth,
        "1,000 connections that do nothing",
        "idle --clients 1000 --warmup 0.5 --secs 3",
    ),
    scenario(
        "idle-19k",
        Part::Growth,
        "19,000 connections that do nothing",
        "idle --clients 19000 --warmup 0.5 --secs 3",
    ),
    scenario(
        "recipients-100",
        Part::Growth,
        "100 recipients, one broadcast in flight",
        "fanout --clients 100 --window 1",
    ),
    scenario(
        "recipients-1k",
        Part::Growth,
        "1,000 recipients",
        "fanout --clients 1000 --window 1",
    ),
    scenario(
        "recipients-5k",
        Part::Growth,
        "5,000 recipients",
        "fanout --clients 5000 --window 1",
    ),
    scenario(
        "recipients-15k",
        Part::Growth,
        "15,000 recipients",
        "fanout --clients 15000 --window 1",
    ),
    scenario(
        "of-100-rooms",
        Part::Growth,
        "100 rooms of 50, one message in flight",
        "rooms --clients 1000 --rooms 100 --join 5 --window 1",
    ),
    scenario(
        "of-1k-rooms",
        Part::Growth,
        "1,000 rooms of 50",
        "rooms --clients 1000 --rooms 1000 --join 50 --window 1",
    ),
    scenario(
        "of-10k-rooms",
        Part::Growth,
        "10,000 rooms of 50",
        "rooms --clients 1000 --rooms 10000 --join 500 --window 1",
    ),
    scenario(
        "tls-fanout-16",
        Part::Tls,
        "fanout-16 over TLS",
        "fanout --clients 1000 --window 16",
    ),
    scenario(
        "tls-echo-1",
        Part::Tls,
        "echo-1 over TLS",
        "echo --clients 200 --window 1",
    ),
    scenario(
        "tls-connect",
        Part::Tls,
        "connect over TLS, sessions resumed",
        "connect --clients 64",
    ),
    scenario(
        "tls-idle-1k",
        Part::Tls,
        "1,000 connections that do nothing, over TLS",
        "idle --clients 1000 --warmup 0.5 --secs 3",
    ),
    at(
        Load::HalfOf("echo-1"),
        scenario(
            "half-echo",
            Part::Half,
            "echoes at half of the rate that the server reached in echo-1",
            "echo --clients 200",
        ),
    ),
    at(
        Load::HalfOf("fanout-1"),
        scenario(
            "half-fanout",
            Part::Half,
            "broadcasts to 1,000 at half of the rate that the server reached in fanout-1",
            "fanout --clients 1000",
        ),
    ),
    at(
        Load::HalfOfBest("echo-1"),
        scenario(
            "same-echo",
            Part::Half,
            "echoes at half of the rate that the best peer reached in echo-1",
            "echo --clients 200",
        ),
    ),
    at(
        Load::HalfOfBest("fanout-1"),
        scenario(
            "same-fanout",
            Part::Half,
            "broadcasts to 1,000 at half of the rate that the best peer reached in fanout-1",
            "fanout --clients 1000",
        ),
    ),
    at(
        Load::WithProbe,
        scenario(
            "cores-10k",
            Part::Cores,
            "broadcasts to a room of 10,000 without a pause",
            "rooms --clients 10000 --rooms 1 --join 1 --window 1 --warmup 1 --secs 9",
        ),
    ),
    at(
        Load::AllCores,
        scenario(
            "burst-10k",
            Part::Cores,
            "broadcasts to 10,000 who read nothing before all of it is written",
            "burst --clients 10000 --window 1 --warmup 1 --secs 6",
        ),
    ),
];

impl Scenario {
    pub(crate) fn find(name: &str) -> Option<&'static Scenario> {
        SCENARIOS.iter().find(|scenario| scenario.name == name)
    }

    /// Returns whether the scenario is for this server.
    pub(crate) fn is_for(&self, server: &str, tls: bool) -> bool {
        match self.part {
            Part::Work | Part::Idle | Part::Half => true,
            Part::Growth | Part::Cores => server == OURS,
            Part::Tls => tls,
        }
    }

    /// Returns whether the load generator holds connections and does nothing else.
    pub(crate) fn is_idle(&self) -> bool {
        self.args.starts_with("idle")
    }

    /// Returns the number of deliveries per emit, if the rate is one of emits.
    pub(crate) fn deliveries_per_emit(&self) -> f64 {
        if self.args.starts_with("fanout") {
            1000.0
        } else {
            1.0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenarios_that_build_on_others_come_after_them() {
        for (at, scenario) in SCENARIOS.iter().enumerate() {
            let first = |name| SCENARIOS.iter().position(|other| other.name == name);
            assert_eq!(
                first(scenario.name),
                Some(at),
                "{} is there twice",
                scenario.name
            );
            if let Load::HalfOf(base) | Load::HalfOfBest(base) = scenario.load {
                assert!(first(base).unwrap() < at);
            }
        }
    }
}
