//! WebSocket (RFC 6455, RFC 7692) as a sans-IO codec with a thin tokio WebSocket on top
