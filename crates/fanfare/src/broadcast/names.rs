use smallvec::SmallVec;

use crate::id::SocketId;

/// One room or several: `"a"`, `String`, `["a", "b"]`, `&vec`, a [`SocketId`].
///
/// Room names are compared byte by byte; Socket.IO knows no numbers or symbols as room names here.
#[diagnostic::on_unimplemented(message = "`{Self}` is not a room name or a list of room names")]
pub trait RoomNames {
    #[doc(hidden)]
    fn add_to(self, names: &mut SmallVec<[String; 1]>);
}

macro_rules! one {
    ($($ty:ty),*) => {$(
        impl RoomNames for $ty {
            fn add_to(self, names: &mut SmallVec<[String; 1]>) {
                names.push(self.to_string());
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
    fn add_to(self, names: &mut SmallVec<[String; 1]>) {
        names.push(self);
    }
}

impl<R: RoomNames> RoomNames for Vec<R> {
    fn add_to(self, names: &mut SmallVec<[String; 1]>) {
        self.into_iter().for_each(|name| name.add_to(names));
    }
}

impl<R: RoomNames, const N: usize> RoomNames for [R; N] {
    fn add_to(self, names: &mut SmallVec<[String; 1]>) {
        self.into_iter().for_each(|name| name.add_to(names));
    }
}

impl<'a, R> RoomNames for &'a [R]
where
    &'a R: RoomNames,
{
    fn add_to(self, names: &mut SmallVec<[String; 1]>) {
        self.iter().for_each(|name| name.add_to(names));
    }
}

impl<'a, R> RoomNames for &'a Vec<R>
where
    &'a R: RoomNames,
{
    fn add_to(self, names: &mut SmallVec<[String; 1]>) {
        self.as_slice().add_to(names);
    }
}

impl RoomNames for &&str {
    fn add_to(self, names: &mut SmallVec<[String; 1]>) {
        names.push((*self).to_owned());
    }
}
