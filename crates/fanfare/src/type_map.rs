//! Values of any type, one of each.

use std::any::{Any, TypeId};
use std::collections::HashMap;

/// Values by their types. Clients do not choose the keys, so that a fast hash is safe; it is computed for each event.
pub(crate) type TypeMap = HashMap<TypeId, Box<dyn Any + Send + Sync>, foldhash::fast::RandomState>;
