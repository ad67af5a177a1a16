//! The Socket.IO client
