//! Builders of sockets whose events have types.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;

use fanfare_protocol::typed::{Contract, FromServer, TakesEvent, TypedEvent};

use super::TypedSocket;
use crate::error::{BuildError, StartError};
use crate::handler::{Acknowledges, Handler, OnEvent};
use crate::options::{ClientBuilder, SocketBuilder};
use crate::socket::Socket;

macro_rules! typed_options {
    ($builder:ty) => {
        impl $builder {
            /// Handles an event with a type: the event is that of the parameter [`Typed<E>`](crate::Typed), and what the
            /// handler returns must be its acknowledgement.
            ///
            /// ```no_run
            /// # #[cfg(feature = "macros")] {
            /// use fanfare_client::{Ack, Typed, TypedEvent};
            ///
            /// #[derive(serde::Deserialize, TypedEvent)]
            /// #[event(ack = i64)]
            /// struct Add(i64, i64);
            ///
            /// # async fn run() -> Result<(), fanfare_client::StartError> {
            /// let socket = fanfare_client::connect("http://localhost:3000")
            ///     .on_event(async |Typed(Add(a, b)): Typed<Add>| Ack(a + b))
            ///     .await?;
            /// # Ok(())
            /// # }
            /// # }
            /// ```
            pub fn on_event<H, T, I>(self, handler: H) -> Self
            where
                H: Handler<OnEvent, T>,
                T: TakesEvent<I> + 'static,
                H::Output: Acknowledges<<T::Event as TypedEvent>::Ack>,
            {
                self.on(T::Event::NAME, handler)
            }
        }

        impl Builder for $builder {
            fn on<T: 'static>(self, event: &str, handler: impl Handler<OnEvent, T>) -> Self {
                self.on(event, handler)
            }

            fn build(self) -> Result<Socket, BuildError> {
                self.build()
            }
        }
    };
}

typed_options!(ClientBuilder);
typed_options!(SocketBuilder);

impl ClientBuilder {
    /// Puts the socket under a contract: from here on it is told which of its events to handle, and no others. The
    /// namespace is the contract's, unless [`namespace`](Self::namespace) has named another.
    pub fn typed<C: Contract>(mut self) -> TypedBuilder<C> {
        self.namespace.get_or_insert_with(|| C::NAMESPACE.into());
        TypedBuilder::new(self)
    }
}

impl SocketBuilder {
    /// Puts the socket under a contract: from here on it is told which of its events to handle, and no others.
    pub fn typed<C: Contract>(self) -> TypedBuilder<C, Self> {
        TypedBuilder::new(self)
    }
}

mod sealed {
    use super::{BuildError, Handler, OnEvent, Socket};

    /// What both builders can do.
    pub trait Builder: Sized {
        fn on<T: 'static>(self, event: &str, handler: impl Handler<OnEvent, T>) -> Self;
        fn build(self) -> Result<Socket, BuildError>;
    }
}
use sealed::Builder;

/// The last steps to a [`TypedSocket`]: its handlers.
///
/// Await it for a connected socket, or [`build`](Self::build) it to connect later. Everything else is said before, to the
/// [`ClientBuilder`].
#[must_use = "nothing happens before `build` or `.await`"]
pub struct TypedBuilder<C, B = ClientBuilder> {
    builder: B,
    contract: PhantomData<fn() -> C>,
}

impl<C, B> TypedBuilder<C, B> {
    fn new(builder: B) -> Self {
        Self {
            builder,
            contract: PhantomData,
        }
    }
}

impl<C, B: Builder> TypedBuilder<C, B> {
    /// Handles an event of the contract, see [`ClientBuilder::on_event`].
    pub fn on<H, T, I>(self, handler: H) -> Self
    where
        H: Handler<OnEvent, T>,
        T: TakesEvent<I, Event: FromServer<C>> + 'static,
        H::Output: Acknowledges<<T::Event as TypedEvent>::Ack>,
    {
        Self::new(Builder::on(self.builder, T::Event::NAME, handler))
    }

    /// The socket, not connected: call [`Socket::connect`].
    ///
    /// # Errors
    ///
    /// [`BuildError`] if an option makes no sense.
    pub fn build(self) -> Result<TypedSocket<C>, BuildError> {
        Builder::build(self.builder).map(TypedSocket::new)
    }
}

impl<C, B> fmt::Debug for TypedBuilder<C, B>
where
    B: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.builder.fmt(f)
    }
}

impl<C, B> IntoFuture for TypedBuilder<C, B>
where
    C: 'static,
    B: IntoFuture<Output = Result<Socket, StartError>, IntoFuture: Send + 'static>,
{
    type Output = Result<TypedSocket<C>, StartError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        let connecting = self.builder.into_future();
        Box::pin(async move { connecting.await.map(TypedSocket::new) })
    }
}
