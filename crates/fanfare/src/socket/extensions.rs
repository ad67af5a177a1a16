use std::any::TypeId;
use std::fmt;

use parking_lot::RwLock;

use crate::type_map::TypeMap;

/// Values of any type, one of each, that belong to a [`Socket`](crate::Socket) on this server.
///
/// They live as long as the socket; `on_disconnect` handlers still see them. A value that contains the socket itself
/// creates a reference cycle, and neither is ever freed: store its id instead.
#[derive(Default)]
pub struct Extensions(RwLock<TypeMap>);

impl Extensions {
    /// Inserts a value; returns the earlier one of this type.
    pub fn insert<T: Send + Sync + 'static>(&self, value: T) -> Option<T> {
        let old = self.0.write().insert(TypeId::of::<T>(), Box::new(value));
        old.and_then(|old| old.downcast().ok()).map(|old| *old)
    }

    /// Returns a clone of the value of this type.
    pub fn get<T: Clone + 'static>(&self) -> Option<T> {
        self.with(T::clone)
    }

    /// Calls `f` with a reference to the value of this type. The extensions of this socket are locked meanwhile: do not
    /// change them in `f`.
    pub fn with<T: 'static, R>(&self, f: impl FnOnce(&T) -> R) -> Option<R> {
        self.0.read().get(&TypeId::of::<T>())?.downcast_ref().map(f)
    }

    /// Drops all values.
    pub(crate) fn clear(&self) {
        let values = std::mem::take(&mut *self.0.write());
        drop(values); // without the lock: dropping a value may access the extensions
    }

    /// Removes the value of this type and returns it.
    pub fn remove<T: 'static>(&self) -> Option<T> {
        self.0
            .write()
            .remove(&TypeId::of::<T>())?
            .downcast()
            .ok()
            .map(|value| *value)
    }
}

impl fmt::Debug for Extensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Extensions")
            .field("len", &self.0.read().len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_of_each_type() {
        let extensions = Extensions::default();
        assert_eq!(extensions.insert("a"), None);
        assert_eq!(extensions.insert(1u8), None);
        assert_eq!(extensions.insert("b"), Some("a"));
        assert_eq!(extensions.get::<&str>(), Some("b"));
        assert_eq!(extensions.with(|n: &u8| *n), Some(1));
        assert_eq!(extensions.remove::<u8>(), Some(1));
        assert_eq!(extensions.get::<u8>(), None);
    }
}
