//! Configuration lines that fix a finding, for the proxy that answers.

/// Formats the same option for Node's server and for Fanfare, ready to be copied.
pub(super) fn both(node: &str, fanfare: &str) -> String {
    format!("Node:\n  {node}\nFanfare:\n  {fanfare}")
}

/// Proxy, as identified by its header `Server`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proxy {
    Nginx,
    Apache,
    Cloudflare,
    /// Caddy forwards upgrades without configuration.
    Caddy,
    Unknown,
}

impl Proxy {
    pub(super) fn from_header(server: &str) -> Self {
        let server = server.to_ascii_lowercase();
        if server.contains("nginx") || server.contains("openresty") {
            Self::Nginx
        } else if server.contains("apache") {
            Self::Apache
        } else if server.contains("cloudflare") {
            Self::Cloudflare
        } else if server.contains("caddy") {
            Self::Caddy
        } else {
            Self::Unknown
        }
    }

    pub(super) fn upgrade(self, path: &str) -> String {
        match self {
            Self::Apache => format!(
                "Apache: a2enmod proxy_wstunnel rewrite, and\n  RewriteCond %{{HTTP:Upgrade}} =websocket [NC]\n  RewriteRule {path}(.*) ws://backend{path}$1 [P,L]"
            ),
            Self::Cloudflare => {
                "Cloudflare: Network > WebSockets > On; then check the proxy behind it".to_owned()
            }
            _ => format!(
                "nginx, in `location {path}`:\n  proxy_http_version 1.1;\n  proxy_set_header Upgrade $http_upgrade;\n  proxy_set_header Connection \"upgrade\";"
            ),
        }
    }

    pub(super) fn affinity(self) -> String {
        let nginx = "nginx, in `upstream`:\n  hash $remote_addr consistent;   # or: ip_hash;\n";
        let rest = "HAProxy: cookie io prefix indirect nocache  ·  Kubernetes ingress-nginx: affinity: \"cookie\"\n\
                    or let clients use WebSocket only: io(url, { transports: [\"websocket\"] })";
        match self {
            Self::Cloudflare => {
                format!("Cloudflare: Load Balancing > Session affinity > by cookie\n{rest}")
            }
            _ => format!("{nginx}{rest}"),
        }
    }

    pub(super) fn idle(self, seconds: u64) -> String {
        let server = "or let the server ping more often: pingInterval (Fanfare: ping_interval) below the proxy's timeout";
        match self {
            Self::Nginx | Self::Unknown => {
                format!(
                    "nginx: proxy_read_timeout {seconds}s;   (HAProxy: timeout tunnel {seconds}s)\n{server}"
                )
            }
            Self::Apache => format!("Apache: ProxyTimeout {seconds}\n{server}"),
            Self::Cloudflare | Self::Caddy => server.to_owned(),
        }
    }

    pub(super) fn body(self, bytes: usize) -> String {
        let megabytes = bytes.div_ceil(1_000_000).max(1);
        match self {
            Self::Nginx | Self::Unknown => format!("nginx: client_max_body_size {megabytes}m;"),
            Self::Apache => format!("Apache: LimitRequestBody {bytes}"),
            Self::Caddy => format!("Caddy: request_body {{ max_size {megabytes}MB }}"),
            Self::Cloudflare => format!(
                "lower maxHttpBufferSize of the server (Fanfare: max_payload) to the proxy's limit, below {bytes} bytes"
            ),
        }
    }

    pub(super) fn location(self, path: &str) -> String {
        match self {
            Self::Caddy => format!("Caddy: reverse_proxy {path}* localhost:3000"),
            _ => format!(
                "nginx:\n  location {path} {{ proxy_pass http://backend; }}   # no path behind the address"
            ),
        }
    }
}
