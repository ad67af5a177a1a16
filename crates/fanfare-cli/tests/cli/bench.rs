//! The load generator, against Fanfare.

use serde_json::Value;

use super::support::{Process, Server, fanfare, run};

fn bench(server: &Server, args: &[&str]) -> Value {
    let url = server.url();
    let mut all = vec!["bench", url.as_str()];
    all.extend_from_slice(args);
    all.extend_from_slice(&["-q", "--json", "-", "--warmup", "100ms", "--timeout", "30s"]);
    let ran = run(&all).expect(0);
    let report = ran.json();
    assert_eq!(report["verified"], true, "{report:#}");
    report
}

fn count(report: &Value, name: &str) -> u64 {
    report[name]
        .as_u64()
        .unwrap_or_else(|| panic!("{name} in {report:#}"))
}

#[test]
fn every_scenario_runs_and_verifies() {
    let server = Server::start();
    for scenario in ["connect", "echo", "polling"] {
        let report = bench(&server, &[scenario, "-c", "5", "-d", "500ms"]);
        assert!(count(&report, "operations") > 0, "{report:#}");
        assert_eq!(
            report["latency_us"]["count"], report["deliveries"],
            "{report:#}"
        );
    }
    let report = bench(&server, &["fanout", "-c", "8", "-w", "4", "-d", "500ms"]);
    assert!(count(&report, "deliveries") > 8, "{report:#}");
    let report = bench(
        &server,
        &[
            "fanout", "-c", "5", "--binary", "-d", "500ms", "--rate", "50",
        ],
    );
    assert!(count(&report, "deliveries") > 0, "{report:#}");
    let report = bench(
        &server,
        &[
            "rooms",
            "-c",
            "6",
            "--rooms",
            "4",
            "--rooms-per-client",
            "2",
            "-w",
            "4",
            "-d",
            "500ms",
        ],
    );
    assert!(count(&report, "deliveries") > 0, "{report:#}");
    let report = bench(&server, &["idle", "-c", "5", "-d", "3s", "--ramp", "50"]);
    assert!(
        count(&report, "operations") >= 5,
        "the server pings every two seconds: {report:#}"
    );
}

#[test]
fn stalled_readers_do_not_stop_the_others() {
    let server = Server::start();
    let report = bench(
        &server,
        &[
            "fanout",
            "-c",
            "10",
            "--stalled",
            "20%",
            "-w",
            "4",
            "-d",
            "500ms",
            "--payload",
            "1000",
        ],
    );
    assert_eq!(report["options"]["stalled"], 2);
    assert_eq!(count(&report, "connected"), 10);
    assert!(count(&report, "deliveries") > 0, "{report:#}");
}

#[test]
fn the_live_table_the_summary_and_the_page() {
    let server = Server::start();
    let page = std::env::temp_dir().join(format!("fanfare-bench-{}.html", std::process::id()));
    let pid = std::process::id().to_string();
    let url = server.url();
    let mut args = vec![
        "bench", &url, "echo", "-c", "4", "-d", "1s", "--warmup", "300ms",
    ];
    args.extend_from_slice(&["--html", page.to_str().unwrap()]);
    if cfg!(target_os = "linux") {
        args.extend_from_slice(&["--pid", &pid]);
    }
    let ran = run(&args).expect(0);
    assert!(
        ran.err.contains("p99 ms") && ran.err.contains("measure"),
        "{ran:#?}"
    );
    assert!(ran.out.contains("verified    nothing missing"), "{ran:#?}");
    assert!(
        ran.err.lines().all(|line| line.chars().count() < 80),
        "{ran:#?}"
    );
    assert!(
        ran.out.lines().all(|line| line.chars().count() <= 80),
        "{ran:#?}"
    );
    let html = std::fs::read_to_string(&page).unwrap();
    std::fs::remove_file(&page).unwrap();
    assert!(html.matches("<svg").count() >= 3, "{html}");
    assert!(
        !html.contains("NaN") && !html.contains("http-equiv") && !html.contains("src="),
        "{html}"
    );
    let links = html.matches("https://").count();
    assert_eq!(links, 0, "the page stands alone");
}

#[test]
fn a_server_without_the_handlers_is_told_apart_from_a_dead_one() {
    let server = Server::start();
    let bare = format!("{}/bare", server.url());
    let ran = run(&["bench", &bare, "echo", "-c", "1"]).expect(6);
    assert!(
        ran.err.contains("does not handle the event `echo`") && ran.err.contains("bench_server"),
        "{ran:#?}"
    );
    run(&["bench", "http://127.0.0.1:1", "echo"]).expect(3);
    run(&["bench", &format!("{}/secret", server.url()), "connect"]).expect(4);
    run(&["bench", &server.url(), "echo", "--stalled", "1"]).expect(2);
    run(&[
        "bench",
        &server.url(),
        "fanout",
        "-c",
        "2",
        "--stalled",
        "2",
    ])
    .expect(2);
}

#[test]
fn the_warmup_is_shown_as_it_is_and_not_counted() {
    let server = Server::start();
    let url = server.url();
    let args = ["bench", &url, "echo", "-c", "3", "-d", "500ms"];
    let more = ["--rate", "200", "--warmup", "1500ms", "--json", "-"];
    let ran = run(&[&args[..], &more].concat()).expect(0);
    let report = ran.json();
    let series = report["series"].as_array().unwrap();
    let warmup: Vec<&Value> = series
        .iter()
        .filter(|row| row["phase"] == "warmup")
        .collect();
    assert!(warmup.len() >= 3, "{report:#}");
    let busy = warmup.iter().filter(|row| {
        row["operations_per_second"].as_f64() > Some(50.0) && row["p50_us"].as_u64() > Some(0)
    });
    assert!(busy.count() >= 2, "{report:#}");
    // The warm-up would add 300; up to a second's worth may catch up for time that a busy machine has missed.
    let most = 200.0 * (report["measured_seconds"].as_f64().unwrap() + 1.0);
    assert!((count(&report, "operations") as f64) < most, "{report:#}");
    let rows = ran.err.lines().filter(|line| line.contains("warmup"));
    let busy = rows.filter(|row| row.split_whitespace().nth(3) != Some("0"));
    assert!(busy.count() >= 2, "{ran:#?}");
    for row in series.iter().filter(|row| row["phase"] == "start") {
        assert!(row["p50_us"].is_null(), "{report:#}");
    }
}

#[test]
fn ctrl_c_reports_what_there_is() {
    let server = Server::start();
    let url = server.url();
    let args = [
        "bench", &url, "echo", "-c", "3", "-d", "10m", "--warmup", "0",
    ];
    let mut bench = Process::start(fanfare(&args));
    bench.wait("measure");
    bench.interrupt();
    bench.wait("acks  ");
    bench.wait("verified    nothing missing");
    assert_eq!(bench.code(), 0);
}

#[test]
fn what_cannot_be_done_is_told_before_the_load() {
    let server = Server::start();
    let url = server.url();
    run(&["bench", &url, "echo", "-d", "0"]).expect(2);
    for file in ["--html", "--json"] {
        let args = ["bench", &url, "echo", "-d", "10m", file];
        let ran = run(&[&args[..], &["/no/such/folder/report"]].concat()).expect(1);
        assert!(ran.err.contains("cannot write /no/such/folder"), "{ran:#?}");
    }
    let refused = run(&["bench", &format!("{url}/secret"), "connect"]).expect(4);
    assert!(refused.err.contains("why: bad token\n"), "{refused:#?}");
}
