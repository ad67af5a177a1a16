//! Options that are written as one expression.

/// Defines methods that set a field and return the value: `Limits::new().max_payload(64 * 1024)`.
///
/// `some` wraps the argument in `Some`, `into` converts it.
#[doc(hidden)]
#[macro_export]
macro_rules! setters {
    () => {};
    ($field:ident: some into $type:ty, $($rest:tt)*) => {
        $crate::setters!(@ $field, impl Into<$type>, Some($field.into()));
        $crate::setters!($($rest)*);
    };
    ($field:ident: some $type:ty, $($rest:tt)*) => {
        $crate::setters!(@ $field, $type, Some($field));
        $crate::setters!($($rest)*);
    };
    ($field:ident: into $type:ty, $($rest:tt)*) => {
        $crate::setters!(@ $field, impl Into<$type>, $field.into());
        $crate::setters!($($rest)*);
    };
    ($field:ident: $type:ty, $($rest:tt)*) => {
        $crate::setters!(@ $field, $type, $field);
        $crate::setters!($($rest)*);
    };
    (@ $field:ident, $type:ty, $value:expr) => {
        #[doc = concat!("Sets [`", stringify!($field), "`](#structfield.", stringify!($field), ").")]
        #[must_use]
        pub fn $field(mut self, $field: $type) -> Self {
            self.$field = $value;
            self
        }
    };
}
