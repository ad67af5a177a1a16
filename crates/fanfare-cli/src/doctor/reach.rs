//! Reachability, scheme, redirects, TLS.

use bytes::Bytes;
use fanfare_client::net::{Address, CertificateProblem, DialError, HttpError};
use fanfare_client::options::Tls;
use http::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::probe::Probe;
use super::report::Finding;
use crate::net::{self, Dialer, HttpConnection, HttpResponse};

/// Kind of server that answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reached {
    /// Nothing that can be checked.
    Nothing,
    /// Redirect to another URL.
    Redirect,
    /// HTTP server that does not answer this request.
    Silent,
    /// HTTP server.
    Http,
}

/// Checks reachability; returns the findings and the kind of server.
pub(super) async fn check(probe: &Probe, tls: &Tls, insecure: bool) -> (Vec<Finding>, Reached) {
    let target = &probe.target;
    let Address { host, port, .. } = &target.address;
    let address = match probe.dialer.reach().await {
        Ok(address) => address,
        Err(error) => {
            let fix = match &error {
                DialError::Name { host, .. } => {
                    format!("check the spelling of `{host}` and its DNS entry")
                }
                DialError::Timeout(_) => {
                    format!("a firewall drops packets, or the host is down; open port {port}")
                }
                _ if matches!(host.as_str(), "localhost" | "127.0.0.1" | "::1") => {
                    format!("start the server, or check the port: {port} is asked here")
                }
                _ => format!(
                    "start the server, let it listen on port {port} (not only on 127.0.0.1), open the firewall"
                ),
            };
            let what = format!("{host}:{port} cannot be reached");
            return (
                vec![
                    Finding::problem("reach", what)
                        .because(net::no_connection(&error))
                        .fix(fix),
                ],
                Reached::Nothing,
            );
        }
    };
    let request = net::request(target, Method::GET, "EIO=4&transport=polling", Bytes::new());
    let response = match HttpConnection::once(&probe.dialer, request, probe.patience).await {
        Ok(response) => response,
        Err(error) => {
            return match no_http(probe, tls, &error).await {
                Some(finding) => (vec![finding], Reached::Nothing),
                None => {
                    let what = format!(
                        "{address} answers HTTP, and keeps silent at {}",
                        target.path
                    );
                    let mut findings = vec![Finding::ok("reach", what)];
                    findings.extend(encryption(probe, insecure));
                    (findings, Reached::Silent)
                }
            };
        }
    };
    let mut findings = Vec::new();
    let wrong_scheme = response.status == 400
        && response
            .text()
            .contains("plain HTTP request was sent to HTTPS port");
    if wrong_scheme {
        let finding = Finding::problem("reach", format!("port {port} speaks HTTPS, not HTTP"))
            .because(
                response
                    .text()
                    .lines()
                    .last()
                    .unwrap_or_default()
                    .trim()
                    .to_owned(),
            )
            .fix(format!("use https://{}", target.address.authority()));
        return (vec![finding], Reached::Nothing);
    }
    if response.status.is_redirection() {
        return (vec![redirect(probe, &response)], Reached::Redirect);
    }
    let took = response.took.as_millis();
    findings.push(Finding::ok(
        "reach",
        format!("{address} answers ({took} ms)"),
    ));
    findings.extend(encryption(probe, insecure));
    (findings, Reached::Http)
}

fn redirect(probe: &Probe, response: &HttpResponse) -> Finding {
    let to = response.header("location");
    let what = format!("{} redirects to {to}", probe.target.origin());
    let finding = Finding::problem("reach", what).because(
        "WebSocket connections do not follow redirects, nor do preflight requests of browsers",
    );
    let origin = to.split("/socket.io").next().unwrap_or(to);
    let origin = origin.trim_end_matches('/');
    if origin.contains("://") && origin != probe.target.origin() {
        finding.fix(format!(
            "connect to {origin} in the clients: io(\"{origin}\")"
        ))
    } else {
        finding.fix(format!(
            "let the server, or the proxy, answer {} itself: no login page, no added slash",
            probe.target.path
        ))
    }
}

fn encryption(probe: &Probe, insecure: bool) -> Option<Finding> {
    if probe.target.address.secure {
        return Some(certificate(probe, insecure));
    }
    (!is_local(&probe.target.address.host)).then(|| {
        Finding::warning("tls", "the connection is not encrypted")
            .because("pages served by https may not connect to http; some networks break plain WebSocket connections")
            .fix("put the server behind a proxy with a certificate, and use https")
    })
}

/// Returns the reason for which there is no answer by HTTP; `None` if other requests are answered.
async fn no_http(probe: &Probe, tls: &Tls, error: &HttpError) -> Option<Finding> {
    let target = &probe.target;
    let authority = target.address.authority();
    if let (true, HttpError::Dial(DialError::Tls(_))) = (target.address.secure, error)
        && let Ok(plain) = probe.dialer.with_tls(None)
        && speaks_http(probe, &plain).await
    {
        let what = format!("port {} speaks plain HTTP, not HTTPS", target.address.port);
        return Some(
            Finding::problem("reach", what)
                .because("it answered a TLS handshake with plain text")
                .fix(format!(
                    "use http://{authority}, or let the server or its proxy speak TLS on this port"
                )),
        );
    }
    if speaks_http(probe, &probe.dialer).await {
        return None;
    }
    if !target.address.secure
        && let Ok(secure) = probe.dialer.with_tls(Some(tls))
        && secure.dial().await.is_ok()
    {
        let what = format!("port {} speaks HTTPS, not HTTP", target.address.port);
        return Some(
            Finding::problem("reach", what)
                .because(format!(
                    "a TLS handshake works, while HTTP does not: {}",
                    net::no_response(error)
                ))
                .fix(format!("use https://{authority}")),
        );
    }
    let what = format!("{authority} accepts connections, but gives no answer by HTTP");
    Some(
        Finding::problem("reach", what)
            .because(net::no_response(error))
            .fix("check that it is the port of the Socket.IO server or of its proxy, and that the server is not stuck"),
    )
}

/// Returns whether an invalid request is answered by HTTP: Node servers do not answer at paths that they do not serve,
/// but do answer an invalid request.
async fn speaks_http(probe: &Probe, dialer: &Dialer) -> bool {
    let exchange = async {
        let mut stream = dialer.dial().await.ok()?;
        stream.write_all(b"NO REQUEST\r\n\r\n").await.ok()?;
        let mut answer = [0; 5];
        stream.read_exact(&mut answer).await.ok()?;
        Some(answer == *b"HTTP/")
    };
    let answered = timeout(probe.patience, exchange).await;
    answered.is_ok_and(|answered| answered == Some(true))
}

fn is_local(host: &str) -> bool {
    host == "localhost" || host.starts_with("127.") || host == "::1"
}

fn certificate(probe: &Probe, insecure: bool) -> Finding {
    let report = probe.dialer.tls_report().unwrap_or_default();
    let host = &probe.target.address.host;
    let version = report
        .version
        .unwrap_or_default()
        .replace("TLSv1_", "TLS 1.");
    let Some(problem) = report.problem else {
        return if report.expires_soon {
            Finding::warning("tls", "the certificate expires within two weeks")
                .fix("renew it now; automate it: certbot renew, or a proxy that does it itself")
        } else {
            Finding::ok("tls", format!("the certificate is valid, {version}"))
        };
    };
    let what = problem.describe(host);
    let fix = match problem {
        CertificateProblem::Expired => "renew it, and reload the proxy".to_owned(),
        CertificateProblem::NotYet => {
            "check the clocks of the server and of this machine".to_owned()
        }
        CertificateProblem::Name => {
            format!("get one that names {host}, or connect with the name it has")
        }
        CertificateProblem::Issuer => {
            "nginx: ssl_certificate must be the file with the whole chain (fullchain.pem)\n\
             self-signed, for tests: --ca FILE here, `ca` in Node's clients, `Tls::root_certificate` in Fanfare's"
                .to_owned()
        }
        _ => "replace it".to_owned(),
    };
    let finding = if insecure {
        Finding::warning("tls", what)
    } else {
        Finding::problem("tls", what)
    };
    finding
        .because("browsers and other clients refuse to connect")
        .fix(fix)
}
