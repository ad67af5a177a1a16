use smallvec::SmallVec;

use crate::error::TooManyRooms;
use crate::id::SocketId;

/// One room or several: `"a"`, `String`, `["a", "b"]`, `&vec`, a [`SocketId`].
///
/// Room names are compared byte by byte and are always strings; numbers and symbols are not supported as room names.
/// One call takes up to [`Limits::max_rooms_per_call`](crate::Limits::max_rooms_per_call) names.
#[diagnostic::on_unimplemented(message = "`{Self}` is not a room name or a list of room names")]
pub trait RoomNames {
    #[doc(hidden)]
    fn add_to(self, names: &mut RoomList);
}

/// Names passed to one operation. Those beyond the limit are counted, not kept.
#[doc(hidden)]
#[derive(Debug, Clone)]
pub struct RoomList {
    names: SmallVec<[String; 1]>,
    given: usize,
    limit: usize,
}

impl RoomList {
    #[inline]
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            names: SmallVec::new(),
            given: 0,
            limit,
        }
    }

    /// Collects the names, up to `limit`.
    #[inline]
    pub(crate) fn of(names: impl RoomNames, limit: usize) -> Self {
        let mut list = Self::new(limit);
        names.add_to(&mut list);
        list
    }

    #[inline]
    fn push(&mut self, name: impl FnOnce() -> String) {
        self.given += 1;
        if self.given <= self.limit {
            self.names.push(name());
        }
    }

    #[inline]
    pub(crate) fn as_slice(&self) -> &[String] {
        &self.names
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.given == 0
    }

    /// Returns all names, or an error if there are too many.
    #[inline]
    pub(crate) fn check(&self) -> Result<&[String], TooManyRooms> {
        if self.given <= self.limit {
            return Ok(&self.names);
        }
        Err(TooManyRooms {
            rooms: self.given,
            limit: self.limit,
        })
    }
}

macro_rules! one {
    ($($ty:ty),*) => {$(
        impl RoomNames for $ty {
            #[inline]
            fn add_to(self, names: &mut RoomList) {
                names.push(|| self.to_string());
            }
        }
    )*};
}

one!(
    &str,
    &String,
    SocketId,
    &SocketId,
    std::borrow::Cow<'_, str>,
    std::sync::Arc<str>,
    Box<str>
);

impl RoomNames for String {
    fn add_to(self, names: &mut RoomList) {
        names.push(|| self);
    }
}

impl<R: RoomNames> RoomNames for Vec<R> {
    fn add_to(self, names: &mut RoomList) {
        self.into_iter().for_each(|name| name.add_to(names));
    }
}

impl<R: RoomNames, const N: usize> RoomNames for [R; N] {
    fn add_to(self, names: &mut RoomList) {
        self.into_iter().for_each(|name| name.add_to(names));
    }
}

impl<'a, R> RoomNames for &'a [R]
where
    &'a R: RoomNames,
{
    fn add_to(self, names: &mut RoomList) {
        self.iter().for_each(|name| name.add_to(names));
    }
}

impl<'a, R> RoomNames for &'a Vec<R>
where
    &'a R: RoomNames,
{
    fn add_to(self, names: &mut RoomList) {
        self.as_slice().add_to(names);
    }
}

impl RoomNames for &&str {
    fn add_to(self, names: &mut RoomList) {
        names.push(|| (*self).to_owned());
    }
}
