//! Origins of namespaces, and namespaces that are created when a client asks for them.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, LazyLock, OnceLock};

use super::pattern::{Pattern, PatternError, Values};
use super::{Behaviour, NamespaceParams};
use crate::server::{IoInner, NoNamespace};

type Predicate = dyn Fn(&str, &serde_json::Value) -> bool + Send + Sync;

/// Matches the names of a dynamic namespace.
pub(crate) enum Matcher {
    /// One name: not dynamic.
    Exact,
    /// `/orders-{id}`: literal text with parameters. `build` rejects an invalid one.
    Pattern(Result<Pattern, PatternError>),
    /// Decision of the application, from the name and the client's `auth`.
    Predicate(Arc<Predicate>),
}

impl fmt::Debug for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exact => "Exact",
            Self::Pattern(_) => "Pattern",
            Self::Predicate(_) => "Predicate",
        })
    }
}

/// Common part of the namespaces of one declaration.
#[derive(Debug)]
pub(crate) struct Parent {
    pub(crate) name: String,
    pub(crate) matcher: Matcher,
    pub(crate) behaviour: Arc<Behaviour>,
}

impl Parent {
    /// Returns the values of the pattern's parameters, if a client may join a namespace of this name. `auth` is the
    /// JSON that the client sent.
    pub(crate) fn accepts(
        &self,
        io: &IoInner,
        name: &str,
        auth: Option<&str>,
    ) -> Result<Option<Values>, NoNamespace> {
        let accepts = match &self.matcher {
            Matcher::Exact => self.name == name,
            Matcher::Pattern(Ok(pattern)) => return Ok(pattern.matches(name)),
            Matcher::Pattern(Err(_)) => false,
            Matcher::Predicate(predicate) => {
                let auth = auth
                    .and_then(|json| serde_json::from_str(json).ok())
                    .unwrap_or_default();
                io.contain("dynamic", || predicate(name, &auth))
                    .ok_or(NoNamespace::Failed)?
            }
        };
        Ok(accepts.then(Values::default))
    }

    /// Whether each client needs a separate decision, because it depends on more than the name.
    pub(crate) fn asks_every_client(&self) -> bool {
        matches!(self.matcher, Matcher::Predicate(_))
    }

    /// Returns the names of the parameters of the pattern.
    fn params(&self) -> &[Box<str>] {
        match &self.matcher {
            Matcher::Pattern(Ok(pattern)) => pattern.params(),
            _ => &[],
        }
    }
}

/// Origin of a namespace.
#[derive(Debug, Default)]
pub(crate) struct Origin {
    behaviour: Arc<Behaviour>,
    parent: Option<Arc<Parent>>,
    /// Positions of the pattern's parameters in the name.
    params: Values,
}

impl Origin {
    /// Returns the origin of a namespace that was declared by its name.
    pub(crate) fn declared(behaviour: Behaviour) -> Self {
        Self {
            behaviour: Arc::new(behaviour),
            ..Self::default()
        }
    }

    /// Returns the origin of one of the namespaces of a dynamic declaration.
    pub(crate) fn child(parent: &Arc<Parent>, params: Values) -> Self {
        Self {
            behaviour: parent.behaviour.clone(),
            parent: Some(parent.clone()),
            params,
        }
    }
}

/// Behaviour of a namespace, and its origin.
///
/// It is undecided after the application has asked for a namespace by a name that a predicate may take, until a client
/// arrives whose `auth` the predicate accepts. No client is in the namespace before, so none lacks its behaviour.
#[derive(Debug)]
pub(crate) struct Declaration(OnceLock<Origin>);

impl Declaration {
    pub(super) fn new(origin: Option<Origin>) -> Self {
        Self(origin.map_or_else(OnceLock::new, OnceLock::from))
    }

    pub(crate) fn is_open(&self) -> bool {
        self.0.get().is_none()
    }

    /// Sets the origin, when a client has arrived through this declaration; the first client decides.
    pub(crate) fn settle(&self, origin: Origin) {
        let _ = self.0.set(origin);
    }

    pub(crate) fn parent(&self) -> Option<&Arc<Parent>> {
        self.0.get()?.parent.as_ref()
    }

    pub(crate) fn is_child_of(&self, parent: &Arc<Parent>) -> bool {
        self.parent().is_some_and(|own| Arc::ptr_eq(own, parent))
    }

    pub(super) fn params<'a>(&'a self, name: &'a str) -> NamespaceParams<'a> {
        match self.0.get() {
            Some(origin) => {
                let parent = origin.parent.as_ref();
                let params = parent.map_or(&[][..], |parent| parent.params());
                NamespaceParams::new(name, params, &origin.params)
            }
            None => NamespaceParams::new(name, &[], &[]),
        }
    }
}

impl Deref for Declaration {
    type Target = Behaviour;

    #[inline]
    fn deref(&self) -> &Behaviour {
        static NONE: LazyLock<Behaviour> = LazyLock::new(Behaviour::default);
        match self.0.get() {
            Some(origin) => &origin.behaviour,
            None => &NONE,
        }
    }
}
