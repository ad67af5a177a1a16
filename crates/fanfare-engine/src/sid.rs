//! Session ids.
