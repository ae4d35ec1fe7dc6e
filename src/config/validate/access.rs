//! Who may do what: rights that lack what they need, tokens that nobody could check, and two
//! principals who would be told apart by nothing.

use std::collections::BTreeMap;

use super::super::fragment::{Fragment, Jwt, Principal};
use super::super::origin::shortened;
use super::super::settings::{AccessSettings, JwtSettings, PrincipalSettings, Right, Rights};
use super::super::text;
use super::{Validation, bounds};

/// Where the rights of somebody stand.
struct Keys {
    may: String,
    destinations: String,
}

impl Validation<'_> {
    pub(super) fn access(&mut self, fragment: &Fragment) -> AccessSettings {
        let access = &fragment.access;
        let keys = Keys {
            may: "access.anonymous".to_owned(),
            destinations: "access.anonymous_destinations".to_owned(),
        };
        let filter = access.anonymous_filter.as_ref().map(|filter| filter.0.clone());
        let anonymous = self.rights(
            &keys,
            access.anonymous.as_deref().unwrap_or_default(),
            access.anonymous_destinations.as_deref().unwrap_or_default(),
            filter.unwrap_or_default(),
            fragment,
        );
        if anonymous.may.iter().any(|right| matches!(right, Right::Console | Right::Phi | Right::Configure)) {
            let what = "has console or phi, which are for somebody who is known";
            self.report(
                &[&keys.may],
                what,
                "console and phi among a principal's rights, or console.code_may",
            );
        }
        let jwt = self.jwt(&access.jwt);
        self.told_apart("certificates", &fragment.principal, |principal| principal.certificates.as_deref());
        self.told_apart("subjects", &fragment.principal, |principal| principal.subjects.as_deref());
        let principals = fragment.principal.iter();
        let principals = principals
            .map(|(name, principal)| (name.clone(), self.principal(name, principal, fragment)))
            .collect();
        AccessSettings { anonymous, jwt, principals }
    }

    fn principal(&mut self, name: &str, principal: &Principal, fragment: &Fragment) -> PrincipalSettings {
        let keys = Keys {
            may: format!("principal.{name}.may"),
            destinations: format!("principal.{name}.destinations"),
        };
        let filter = principal.filter.as_ref().map(|filter| filter.0.clone());
        PrincipalSettings {
            certificates: principal.certificates.clone().unwrap_or_default(),
            subjects: principal.subjects.clone().unwrap_or_default(),
            rights: self.rights(
                &keys,
                principal.may.as_deref().unwrap_or_default(),
                principal.destinations.as_deref().unwrap_or_default(),
                filter.unwrap_or_default(),
                fragment,
            ),
        }
    }

    fn rights(
        &mut self,
        keys: &Keys,
        may: &[String],
        destinations: &[String],
        filter: String,
        fragment: &Fragment,
    ) -> Rights {
        let may: Vec<_> = may.iter().filter_map(|word| self.typed(&keys.may, text::right(word))).collect();
        for name in destinations.iter().filter(|name| *name != "*") {
            self.exists(&keys.destinations, "destination", name, &fragment.destination);
        }
        if may.contains(&Right::PushTo) && destinations.is_empty() {
            self.report(
                &[&keys.may],
                "has push-to without a destination",
                format!("{} with it: names of destinations, or [\"*\"]", keys.destinations),
            );
        }
        Rights { may, destinations: destinations.to_vec(), filter }
    }

    /// What identifies a principal is that one's alone.
    fn told_apart(
        &mut self,
        key: &str,
        principals: &BTreeMap<String, Principal>,
        marks: impl Fn(&Principal) -> Option<&[String]>,
    ) {
        let mut owners = BTreeMap::new();
        for (name, principal) in principals {
            for mark in marks(principal).unwrap_or_default() {
                let owner = *owners.entry(mark).or_insert(name);
                if owner != name {
                    let [here, there] = [name, owner].map(|name| format!("principal.{name}.{key}"));
                    let what = format!("\"{}\" stands in {there} too", shortened(mark));
                    self.report(&[&here, &there], what, "a name or subject of one principal alone");
                }
            }
        }
    }

    /// Tokens: all that is needed to check one, or none of it.
    fn jwt(&mut self, jwt: &Jwt) -> Option<JwtSettings> {
        let named = [
            ("access.jwt.jwks", jwt.jwks.as_deref()),
            ("access.jwt.issuer", jwt.issuer.as_deref()),
            ("access.jwt.audience", jwt.audience.as_deref()),
        ]
        .map(|(key, text)| (key, text.unwrap_or_default()));
        let set: Vec<_> = named.iter().filter(|(_, text)| !text.is_empty()).map(|(key, _)| *key).collect();
        let [(_, jwks), (_, issuer), (_, audience)] = named;
        if set.is_empty() {
            return None;
        }
        for (missing, _) in named.iter().filter(|(_, text)| text.is_empty()) {
            let keys: Vec<_> = set.iter().copied().take(1).collect();
            self.report(&keys, format!("{missing} is not set"), "jwks, issuer and audience together");
        }
        Some(JwtSettings {
            jwks: jwks.into(),
            issuer: issuer.to_owned(),
            audience: audience.to_owned(),
            leeway: bounds::seconds(jwt.leeway_seconds, JwtSettings::LEEWAY),
        })
    }
}
