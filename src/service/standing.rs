//! The standing searches of the configuration (`[subscription.NAME]`), and what becomes of everybody's
//! when the rights of their owners change.

use std::sync::Arc;

use crate::config::settings::{Right, Settings, StandingSettings};
use crate::dicomweb::access::Grants;
use crate::dicomweb::routes::{self, BASE, Route};
use crate::subscription::filter::filter;
use crate::subscription::options;
use crate::subscription::registry::{Delivery, Options, Request, Subscriber, Subscription, Verdict};
use crate::subscription::scope::Scope;

/// The searches of the configuration. `grants` has the rights of their owners, `base` is our service root for
/// the Retrieve URLs that they are told.
///
/// # Errors
/// Which one cannot be used, and why; never with a value of its filter.
pub(super) fn requests(
    settings: &Settings,
    grants: &Grants,
    base: &Arc<str>,
) -> Result<Vec<Request>, String> {
    let mut made: Vec<(&str, Request)> = Vec::with_capacity(settings.standing.len());
    for (name, standing) in &settings.standing {
        let fail = |reason: String| format!("subscription.{name}: {reason}");
        let request = request(standing, settings, grants, base).map_err(fail)?;
        for (other, before) in &made {
            if before.is_same_as(&request) {
                return Err(fail(format!(
                    "it is the same search as subscription.{other}, delivered the same"
                )));
            }
            if before.subscriber == request.subscriber && before.owner != request.owner {
                return Err(fail(format!("subscription.{other} gives its subscriber to another principal")));
            }
        }
        made.push((name, request));
    }
    Ok(made.into_iter().map(|(_, request)| request).collect())
}

fn request(
    standing: &StandingSettings,
    settings: &Settings,
    grants: &Grants,
    base: &Arc<str>,
) -> Result<Request, String> {
    let subscriber =
        Subscriber::parse(&standing.subscriber).map_err(|error| format!("subscriber: {error}"))?;
    let owner = standing.principal.as_deref();
    let granted = grants.of(owner).ok_or("principal: there is no [principal] of this name")?;
    let destination = match standing.destination.as_deref() {
        Some(name) if !settings.destinations.contains_key(name) => {
            return Err("destination: there is no [destination] of this name".to_owned());
        }
        destination => destination,
    };
    if standing.rate.is_some_and(|rate| !options::RATES.contains(&rate)) {
        return Err(format!(
            "rate: {} to {} instances a second",
            options::RATES.start(),
            options::RATES.end()
        ));
    }
    let from = options::begin(&standing.from).ok_or("from: oldest, latest or an Instance Number")?;
    let form = options::form(standing.transfer_syntax.as_deref(), standing.rendered)
        .ok_or("transfer_syntax: the UID of Explicit VR Little Endian, and not together with rendered")?;
    let query = filter(&standing.filter).map_err(|error| format!("filter: {error}"))?;
    Ok(Request {
        subscriber,
        owner: owner.map(Arc::from),
        scope: scope(&standing.search).ok_or("search: a search resource, such as /series, is needed")?,
        keys: query.canonical().clone(),
        query,
        restriction: granted.filter().cloned(),
        delivery: destination.map_or(Delivery::Notification, |name| Delivery::Push(name.into())),
        from,
        form,
        options: Options { rate: standing.rate, paused: false },
        lease: None,
        base: base.clone(),
    })
}

/// What becomes of a subscription under these rights. Those of the configuration go on: it is not for
/// their subscriber to have them.
pub(super) fn verdict(subscription: &Subscription, grants: &Grants) -> Verdict {
    let request = subscription.request();
    let Some(granted) = grants.of(request.owner.as_deref()) else { return Verdict::Ends };
    let delivers = match &request.delivery {
        Delivery::Notification => true,
        Delivery::Push(name) => granted.may_push_to(name),
    };
    if subscription.is_standing() || (granted.may(Right::Subscribe) && delivers) {
        Verdict::GoesOn(granted.filter().cloned())
    } else {
        Verdict::Ends
    }
}

fn scope(search: &str) -> Option<Scope> {
    match routes::parse(&format!("{BASE}{search}")).ok()?.route {
        Route::Search(scope) => Some(scope),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::settings::{DestinationSettings, PrincipalSettings, Rights, SubscriptionSettings};
    use crate::hub::From;
    use crate::subscription::registry::{Form, Registry};

    fn standing() -> StandingSettings {
        StandingSettings {
            search: "/series".to_owned(),
            filter: "Modality=XA&PatientName=Doe*".to_owned(),
            subscriber: "PACS".to_owned(),
            principal: None,
            destination: Some("pacs".to_owned()),
            rate: Some(7.5),
            from: "latest".to_owned(),
            transfer_syntax: None,
            rendered: false,
        }
    }

    fn settings(standing: &[(&str, StandingSettings)]) -> Settings {
        let mut settings = Settings {
            standing: standing.iter().map(|(name, one)| ((*name).to_owned(), one.clone())).collect(),
            destinations: BTreeMap::from([("pacs".to_owned(), DestinationSettings::default())]),
            ..Settings::default()
        };
        let rights = Rights { filter: "InstitutionName=North*".to_owned(), ..Rights::all() };
        let alice = PrincipalSettings { rights, ..PrincipalSettings::default() };
        settings.access.principals.insert("alice".to_owned(), alice);
        settings
    }

    fn grants(settings: &Settings) -> Grants {
        Grants::new(&settings.access, None).unwrap()
    }

    fn written(settings: &Settings) -> Result<Vec<Request>, String> {
        requests(settings, &grants(settings), &"https://box:8443/dicomweb".into())
    }

    #[test]
    fn what_is_written_is_what_stands() {
        let all = written(&settings(&[("a", standing())])).unwrap();
        let [one] = &all[..] else { panic!("one is written") };
        assert_eq!((one.subscriber.as_str(), &one.owner), ("PACS", &None));
        assert_eq!(one.delivery, Delivery::Push("pacs".into()));
        assert_eq!((one.from, &one.form, one.options.rate), (From::Latest, &Form::AsTheyAre, Some(7.5)));
        assert_eq!((one.query.keys().len(), one.restriction.is_none()), (2, true));
        let alices = StandingSettings {
            search: "/studies/1.2/instances".to_owned(),
            filter: String::new(),
            principal: Some("alice".to_owned()),
            destination: None,
            rendered: true,
            ..standing()
        };
        let all = written(&settings(&[("a", alices)])).unwrap();
        assert_eq!(all[0].scope.study.as_deref(), Some("1.2"));
        assert_eq!((&all[0].delivery, &all[0].form), (&Delivery::Notification, &Form::Rendered));
        assert_eq!((all[0].owner.as_deref(), all[0].restriction.is_some()), (Some("alice"), true));
    }

    #[test]
    fn what_cannot_stand_is_named_without_its_values() {
        type Change = fn(&mut StandingSettings);
        let changes: [(&str, Change); 11] = [
            ("search", |one| one.search = "/studies/1.2".to_owned()),
            ("search", |one| one.search = "series".to_owned()),
            ("filter", |one| one.filter = "StudyDate=zzz".to_owned()),
            ("filter", |one| one.filter = "PatientNmae=zzz".to_owned()),
            ("subscriber", |one| one.subscriber = "z z".to_owned()),
            ("principal", |one| one.principal = Some("zzz".to_owned())),
            ("destination", |one| one.destination = Some("zzz".to_owned())),
            ("rate", |one| one.rate = Some(0.0)),
            ("from", |one| one.from = "zzz".to_owned()),
            ("transfer_syntax", |one| one.transfer_syntax = Some("1.2.840.10008.1.2".to_owned())),
            ("transfer_syntax", |one| {
                (one.transfer_syntax, one.rendered) = (Some("1.2.840.10008.1.2.1".to_owned()), true);
            }),
        ];
        for (key, change) in changes {
            let mut one = standing();
            change(&mut one);
            let error = written(&settings(&[("a", one)])).unwrap_err();
            assert!(error.starts_with(&format!("subscription.a: {key}: ")), "{error}");
            assert!(!error.contains("zzz"), "{error}");
        }
    }

    #[test]
    fn two_that_bar_each_other_are_refused() {
        let error = written(&settings(&[("a", standing()), ("b", standing())])).unwrap_err();
        assert!(error.starts_with("subscription.b: it is the same search as subscription.a"), "{error}");
        let alices = StandingSettings {
            principal: Some("alice".to_owned()),
            search: "/studies".to_owned(),
            ..standing()
        };
        let error = written(&settings(&[("a", standing()), ("b", alices)])).unwrap_err();
        assert!(error.starts_with("subscription.b: subscription.a gives its subscriber"), "{error}");
    }

    #[test]
    fn who_has_lost_a_right_loses_what_it_gave() {
        let mut settings = settings(&[("a", standing())]);
        let registry = Registry::new(SubscriptionSettings::default());
        registry.stand(written(&settings).unwrap());
        let made = |name: &str, owner: Option<&str>, delivery| {
            let standing = registry.all()[0].request().clone();
            let subscriber = Subscriber::parse(name).unwrap();
            let request = Request { subscriber, owner: owner.map(Into::into), delivery, ..standing };
            registry.subscribe(request).unwrap().0
        };
        let anonymous = made("A", None, Delivery::Notification);
        let stranger = made("B", Some("mallory"), Delivery::Notification);
        let told = made("C", Some("alice"), Delivery::Notification);
        let pushed = made("C", Some("alice"), Delivery::Push("pacs".into()));
        registry.review(|known| verdict(known, &grants(&settings)));
        let ended = |all: [&Subscription; 4]| all.map(Subscription::has_ended);
        assert_eq!(ended([&anonymous, &stranger, &told, &pushed]), [true, true, false, false]);

        let alice = settings.access.principals.get_mut("alice").unwrap();
        alice.rights.destinations = vec!["other".to_owned()];
        registry.review(|known| verdict(known, &grants(&settings)));
        assert_eq!(ended([&anonymous, &stranger, &told, &pushed]), [true, true, false, true]);
        settings.access.principals.clear();
        registry.review(|known| verdict(known, &grants(&settings)));
        assert!(told.has_ended());
        assert_eq!(registry.all().len(), 1, "the configuration's own goes on");
    }
}
