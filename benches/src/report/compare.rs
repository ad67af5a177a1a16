//! Comparisons of Fanfare with its peers.

use super::numbers::{millis, short};
use crate::run::scenarios::{Part, SCENARIOS, Scenario};
use crate::run::servers::OURS;
use crate::run::{Results, Run};

/// Figure by which servers are compared.
#[derive(Clone, Copy)]
pub(super) enum Figure {
    PerCpu,
    P99,
    Memory,
}

impl Figure {
    pub(super) fn of(self, run: &Run) -> f64 {
        match self {
            Figure::PerCpu => run.measured.per_cpu(),
            Figure::P99 => run.measured.p99,
            Figure::Memory => run.measured.pss_per_client,
        }
    }

    /// Returns the factor by which `a` is better than `b`.
    fn advantage(self, a: f64, b: f64) -> f64 {
        match self {
            Figure::PerCpu => a / b,
            Figure::P99 | Figure::Memory => b / a,
        }
    }

    fn shown(self, value: f64) -> String {
        match self {
            Figure::PerCpu => format!("{} per CPU second", short(value)),
            Figure::P99 => format!("p99 {} ms", millis(value)),
            Figure::Memory => format!("{} bytes per connection", short(value)),
        }
    }
}

/// Comparison of Fanfare with the best peer.
pub(super) struct Duel<'a> {
    pub(super) scenario: &'static Scenario,
    figure: Figure,
    pub(super) peer: &'a str,
    pub(super) ours: f64,
    pub(super) best: f64,
    /// Whether the ranges of the runs do not overlap: the worst run of one is not worse than the best of the other.
    apart: bool,
}

impl Duel<'_> {
    /// Returns the factor by which Fanfare is better; below 1 it loses.
    pub(super) fn ratio(&self) -> f64 {
        self.figure.advantage(self.ours, self.best)
    }

    fn sentence(&self) -> String {
        let sure = if self.apart {
            ""
        } else {
            " (single runs of the two overlap)"
        };
        format!(
            "`{}` ({}): {} {}, Fanfare {}, which is {:.2} of it{sure}.",
            self.scenario.name,
            self.scenario.about,
            self.peer,
            self.figure.shown(self.best),
            self.figure.shown(self.ours),
            self.ratio()
        )
    }
}

/// Compares Fanfare with the best peer in one scenario.
pub(super) fn duel<'a>(
    results: &'a Results,
    scenario: &'static Scenario,
    figure: Figure,
) -> Option<Duel<'a>> {
    let median = |server: &str| results.median(scenario.name, server, |run| figure.of(run));
    let ours = median(OURS)?;
    let (peer, best) = results
        .peers()
        .into_iter()
        .filter_map(|peer| Some((peer, median(peer)?)))
        .reduce(|a, b| {
            if figure.advantage(b.1, a.1) > 1.0 {
                b
            } else {
                a
            }
        })?;
    let values = |server: &str| -> Vec<f64> {
        let runs = results.good(scenario.name, server);
        runs.into_iter().map(|run| figure.of(run)).collect()
    };
    let (mine, theirs) = (values(OURS), values(peer));
    let max = |values: &[f64]| values.iter().copied().fold(f64::MIN, f64::max);
    let min = |values: &[f64]| values.iter().copied().fold(f64::MAX, f64::min);
    Some(Duel {
        scenario,
        figure,
        peer,
        ours,
        best,
        apart: min(&mine) > max(&theirs) || max(&mine) < min(&theirs),
    })
}

/// Returns all comparisons that the scenarios allow, those under full load first.
fn duels(results: &Results) -> Vec<Duel<'_>> {
    let mut all = Vec::new();
    for scenario in SCENARIOS {
        let figures: &[Figure] = match scenario.part {
            _ if scenario.is_idle() => &[Figure::Memory],
            Part::Work | Part::Tls => &[Figure::PerCpu, Figure::P99],
            Part::Half => &[Figure::P99],
            Part::Idle | Part::Growth | Part::Cores => &[],
        };
        let found = figures
            .iter()
            .filter_map(|figure| duel(results, scenario, *figure));
        all.extend(found);
    }
    all
}

/// Returns a sentence for each comparison that Fanfare loses, and the number of the others.
pub(super) fn losses(results: &Results) -> (Vec<String>, usize) {
    let all = duels(results);
    let (lost, won): (Vec<_>, Vec<_>) = all.iter().partition(|duel| duel.ratio() < 1.0);
    (lost.into_iter().map(Duel::sentence).collect(), won.len())
}

/// Returns a sentence for each fault of a server.
pub(super) fn faults(results: &Results) -> Vec<String> {
    let mut all = Vec::new();
    for server in results.names() {
        let named = |is: &dyn Fn(&Run) -> bool| -> Vec<String> {
            let runs = results.runs.iter().filter(|run| run.server == server);
            let mut names: Vec<String> = runs
                .filter(|run| is(run))
                .map(|run| format!("`{}`", run.scenario))
                .collect();
            names.dedup();
            names.sort();
            names.dedup();
            names
        };
        let reordered = named(&|run| run.measured.reordered > 0);
        if !reordered.is_empty() {
            all.push(format!(
                "{server} delivered messages of one sender out of order in {}.",
                reordered.join(", ")
            ));
        }
        for run in results.runs.iter().filter(|run| run.server == server) {
            if run.measured.errors > 0 {
                let first = run.measured.messages.first();
                all.push(format!(
                    "{server} failed in `{}`: {}; that run counts nowhere.",
                    run.scenario,
                    first.map_or("no reason is known", String::as_str)
                ));
            }
        }
    }
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Measured;

    pub(crate) fn results(figures: &[(&str, &str, u64, f64)]) -> Results {
        let mut results = Results::default();
        for (scenario, server, operations, p99) in figures {
            results
                .servers
                .insert((*server).to_owned(), "1.0".to_owned());
            results.runs.push(Run {
                scenario: (*scenario).to_owned(),
                server: (*server).to_owned(),
                rate: None,
                measured: Measured {
                    operations: *operations,
                    cpu: 1.0,
                    secs: 1.0,
                    p99: *p99,
                    ..Measured::default()
                },
                probes: Vec::new(),
            });
        }
        results
    }

    #[test]
    fn losses_are_named_and_victories_are_not() {
        let results = results(&[
            ("echo-1", "fanfare", 1000, 500.0),
            ("echo-1", "fanfare", 1200, 500.0),
            ("echo-1", "node", 2000, 900.0),
            ("echo-1", "bun", 1500, 800.0),
            ("echo-1", "limit", 9000, 1.0),
            ("fanout-1", "fanfare", 10, 1.0),
        ]);
        let (lost, won) = losses(&results);
        assert_eq!(
            lost,
            [
                "`echo-1` (200 clients, one emit with acknowledgement each): node 2,000 per CPU second, \
                 Fanfare 1,100 per CPU second, which is 0.55 of it."
            ]
        );
        assert_eq!(won, 1, "p99; and nobody else did fanout-1");
    }

    #[test]
    fn runs_that_overlap_are_told() {
        let results = results(&[
            ("echo-1", "fanfare", 1000, 1.0),
            ("echo-1", "fanfare", 1300, 1.0),
            ("echo-1", "node", 1200, 2.0),
        ]);
        let (lost, _) = losses(&results);
        assert!(
            lost[0].ends_with("0.96 of it (single runs of the two overlap)."),
            "{lost:?}"
        );
    }

    #[test]
    fn faults_are_named() {
        let mut results = results(&[("echo-1", "node", 10, 1.0), ("fanout-1", "node", 10, 1.0)]);
        results.runs[0].measured.errors = 3;
        results.runs[0].measured.messages = vec!["ack 7 came twice".to_owned()];
        results.runs[1].measured.reordered = 1;
        assert_eq!(
            faults(&results),
            [
                "node delivered messages of one sender out of order in `fanout-1`.",
                "node failed in `echo-1`: ack 7 came twice; that run counts nowhere.",
            ]
        );
    }
}
