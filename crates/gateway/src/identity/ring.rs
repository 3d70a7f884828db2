//! The keys of a configuration.

use std::{
    collections::HashMap,
    fmt,
    future::{Ready, ready},
    sync::Arc,
    time::SystemTime,
};

use http::request::Parts;
use ziggurat::{
    Caller, Error, ErrorKind, Secret,
    config::{Callers, Expiry, KeyHash, Plan},
};

use super::{Identify, Identity, presented_keys};

/// The keys of a configuration: the master key and those of `ziggurat_settings.keys`. Without any,
/// everybody is let in.
///
/// What a client presents is hashed once, and looked up by its SHA-256. So the time that it takes says
/// nothing about the keys: how far two hashes agree is no more than chance, and who tries one key after
/// the other cannot choose their hashes. Keys are not kept, only their hashes, in a map with a
/// secret seed.
pub struct KeyRing {
    known: HashMap<KeyHash, Known>,
    callers: Callers,
}

/// Who has a key, and whether it opens anything now.
struct Known {
    caller: Arc<Caller>,
    expires: Option<Expiry>,
    /// Who is blocked: the key, or its team.
    blocked: Option<&'static str>,
}

impl KeyRing {
    /// The keys of a plan.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        Self::new(&plan.callers, plan.general.master_key.as_ref())
    }

    /// The keys of callers, and one that opens everything.
    #[must_use]
    pub fn new(callers: &Callers, master_key: Option<&Secret>) -> Self {
        let known = callers.keys.iter().map(|key| {
            let team = key.team.as_deref().and_then(|team| callers.team(team));
            let blocked = match team {
                _ if key.is_blocked => Some("key"),
                Some(team) if team.is_blocked => Some("team"),
                _ => None,
            };
            let known = Known {
                caller: Arc::new(callers.caller(key)),
                expires: key.expires,
                blocked,
            };
            (key.hash, known)
        });
        let master = master_key.map(|key| {
            let known = Known {
                caller: Arc::new(Caller::new().with_admin()),
                expires: None,
                blocked: None,
            };
            (KeyHash::of(key.expose().as_bytes()), known)
        });
        Self {
            known: known.chain(master).collect(),
            callers: callers.clone(),
        }
    }

    /// Whether everybody is let in.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.known.is_empty()
    }

    /// What the configuration says of its callers.
    #[must_use]
    pub fn callers(&self) -> &Callers {
        &self.callers
    }

    /// Whose key a request presents. The first that is known counts.
    ///
    /// # Errors
    ///
    /// [`Authentication`](ErrorKind::Authentication) if there is none, none is known, or it has ended;
    /// [`Permission`](ErrorKind::Permission) if it, or its team, is blocked.
    pub fn identity(&self, parts: &Parts) -> Result<Identity, Error> {
        if self.is_open() {
            return Ok(Identity::open());
        }
        let mut presented = false;
        for key in presented_keys(parts) {
            presented = true;
            if let Some(known) = self.known.get(&KeyHash::of(&key)) {
                return known.identity();
            }
        }
        Err(unauthorised(match presented {
            false => "no key: send `Authorization: Bearer …` or `x-api-key: …`",
            true => "the key is not valid",
        }))
    }
}

impl Known {
    fn identity(&self) -> Result<Identity, Error> {
        if let Some(whose) = self.blocked {
            let message = format!("the {whose} is blocked");
            let error = Error::new(ErrorKind::Permission, message);
            return Err(error.with_code(format!("{whose}_blocked")));
        }
        if self.expires.is_some_and(|it| it.is_over(SystemTime::now())) {
            return Err(unauthorised("the key has expired").with_code("expired_key"));
        }
        Ok(Identity::of(Arc::clone(&self.caller)))
    }
}

fn unauthorised(message: &'static str) -> Error {
    Error::new(ErrorKind::Authentication, message)
}

impl Identify for KeyRing {
    type Future = Ready<Result<Identity, Error>>;

    fn identify(&self, parts: &Parts) -> Self::Future {
        ready(self.identity(parts))
    }
}

impl Default for KeyRing {
    /// Lets everybody in.
    fn default() -> Self {
        Self::new(&Callers::default(), None)
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing")
            .field("keys", &self.known.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    const FILE: &str = "
general_settings: {master_key: sk-master-0123456789}
ziggurat_settings:
  keys:
    - {name: alice, key: sk-alice-0123456789, team: red, user: al, tags: [a], priority: 3, models: [gpt]}
    - {name: old, key: sk-old-0123456789, expires: 2020-01-01}
    - {name: young, key: sk-young-0123456789, expires: 9000-01-01}
    - {name: off, key: sk-off-0123456789, blocked: true}
    - {name: out, key: sk-out-0123456789, team: shut}
  teams: [{name: red}, {name: shut, blocked: true}]
";

    fn ask(ring: &KeyRing, headers: &[(&str, &str)]) -> Result<Identity, Error> {
        let mut request = Request::get("/v1/models");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).expect("is valid").into_parts();
        ring.identity(&parts)
    }

    fn ring() -> KeyRing {
        let plan = Plan::parse(FILE, "config.yaml", |_| None).expect("is valid");
        KeyRing::of(&plan)
    }

    #[test]
    fn a_key_says_who_asks() {
        let ring = ring();
        let identity = ask(&ring, &[("x-api-key", "sk-alice-0123456789")]).expect("is known");
        let caller = identity.caller().expect("is one");
        assert_eq!(
            (caller.key.as_deref(), caller.team.as_deref()),
            (Some("alice"), Some("red"))
        );
        assert!(!identity.may_manage());
        let two = [
            ("authorization", "Bearer sk-no"),
            ("x-api-key", "sk-master-0123456789"),
        ];
        let master = ask(&ring, &two).expect("the second is known");
        assert!(master.may_manage() && master.caller().is_some_and(|it| it.key.is_none()));
        ask(&ring, &[("x-api-key", "sk-young-0123456789")]).expect("has not ended");
    }

    #[test]
    fn what_opens_nothing_is_told_apart() {
        let ring = ring();
        for (key, status, code) in [
            ("sk-alice-012345678", 401, "invalid_api_key"),
            ("sha256:00", 401, "invalid_api_key"),
            ("", 401, "invalid_api_key"),
            ("sk-old-0123456789", 401, "expired_key"),
            ("sk-off-0123456789", 403, "key_blocked"),
            ("sk-out-0123456789", 403, "team_blocked"),
        ] {
            let error = ask(&ring, &[("x-api-key", key)]).expect_err(key);
            assert_eq!(
                (error.status().as_u16(), error.code()),
                (status, code),
                "{key}"
            );
            assert!(!format!("{error} {error:?}").contains("0123456789"));
        }
        let error = ask(&ring, &[]).expect_err("there is none");
        assert!(error.message().starts_with("no key"));
    }

    #[test]
    fn the_hash_of_a_key_is_no_key() {
        let hash = KeyHash::of(b"sk-alice-0123456789").reveal();
        for key in [&*hash, &hash["sha256:".len()..]] {
            assert!(ask(&ring(), &[("x-api-key", key)]).is_err());
        }
    }

    #[test]
    fn without_a_key_everybody_is_let_in() {
        let identity = ask(&KeyRing::default(), &[]).expect("is open");
        assert!(identity.caller().is_none() && identity.may_manage());
    }

    #[test]
    fn a_request_gets_what_its_key_says_and_keeps_what_it_says_itself() {
        let ring = ring();
        let identity = ask(&ring, &[("x-api-key", "sk-alice-0123456789")]).expect("is known");
        let mut request = ziggurat::LlmRequest::chat("gpt", "hi");
        request.add_tags(["b", "a"]);
        let put = identity.put_into(request.clone());
        assert_eq!((put.tags().len(), put.controls().priority), (2, Some(3)));
        assert!(Arc::ptr_eq(
            put.caller().expect("has one"),
            identity.caller().expect("is one")
        ));
        request.controls_mut().priority = Some(-7);
        assert_eq!(identity.put_into(request).controls().priority, Some(-7));
    }
}
