use super::*;
use proptest::prelude::*;

fn route(path: &str) -> Result<Route, RouteError> {
    parse(path).map(|found| found.route)
}

fn resource(study: &str, series: Option<&str>, instance: Option<&str>) -> Resource {
    Resource { study: study.into(), series: series.map(Into::into), instance: instance.map(Into::into) }
}

fn instance() -> Resource {
    resource("1.2", Some("1.2.3"), Some("1.2.3.4"))
}

#[test]
fn every_template_is_reached_by_its_own_expansion_and_only_by_it() {
    for template in TEMPLATES {
        let path = format!("{BASE}{}", template.path)
            .replace("{study}", "1.2")
            .replace("{series}", "1.2.3")
            .replace("{instance}", "1.2.3.4")
            .replace("{frames}", "1,2")
            .replace("{subscriber}", "VIEWER")
            .replace("{capture}", "room")
            .replace("{+bulkdata}", "52009229/0/00280010");
        assert_eq!(parse(&path).unwrap().template.path, template.path, "{path}");
        let segments: Vec<_> =
            path[BASE.len()..].split('/').filter(|segment| !segment.is_empty()).map(Cow::Borrowed).collect();
        let rows = TEMPLATES.iter().filter(|row| has_shape(row.path, &segments)).count();
        assert_eq!(rows, 1, "{path}");
    }
}

#[test]
fn paths_mean_what_the_standard_says() {
    let search = |level, study: Option<&str>, series: Option<&str>| {
        Route::Search(Scope { level, study: study.map(Into::into), series: series.map(Into::into) })
    };
    let deep = "/dicomweb/studies/1.2/series/1.2.3/instances/1.2.3.4";
    for (path, expected) in [
        ("/dicomweb".to_owned(), Route::Capabilities),
        ("/dicomweb/".to_owned(), Route::Capabilities),
        ("/dicomweb/studies/".to_owned(), search(Level::Studies, None, None)),
        ("/dicomweb/series".to_owned(), search(Level::Series, None, None)),
        ("/dicomweb/instances".to_owned(), search(Level::Instances, None, None)),
        ("/dicomweb/studies/1.2/series".to_owned(), search(Level::Series, Some("1.2"), None)),
        ("/dicomweb/studies/1.2/instances".to_owned(), search(Level::Instances, Some("1.2"), None)),
        (
            "/dicomweb/studies/1.2/series/1.2.3/instances".to_owned(),
            search(Level::Instances, Some("1.2"), Some("1.2.3")),
        ),
        ("/dicomweb/studies/1.2".to_owned(), Route::Retrieve(resource("1.2", None, None))),
        (
            "/dicomweb/studies/1.2/series/01.2.3/metadata/".to_owned(),
            Route::Metadata(resource("1.2", Some("01.2.3"), None)),
        ),
        ("/dicomweb/stud%69es/1%2E2/rendered".to_owned(), Route::Rendered(resource("1.2", None, None))),
        (deep.to_owned(), Route::Retrieve(instance())),
        ("/dicomweb/operations/captures".to_owned(), Route::Captures),
        ("/dicomweb/operations/captures/room".to_owned(), Route::Capture("room".to_owned())),
        ("/dicomweb/operations/captures/start/start".to_owned(), Route::Start("start".to_owned())),
        ("/dicomweb/operations/captures/room/stop/".to_owned(), Route::Stop("room".to_owned())),
        ("/dicomweb/operations/captures/r%20m/patient".to_owned(), Route::Patient("r m".to_owned())),
        ("/dicomweb/operations/captures/room/step".to_owned(), Route::Step("room".to_owned())),
        ("/dicomweb/operations/captures/room/emergency".to_owned(), Route::Emergency("room".to_owned())),
        ("/dicomweb/operations/worklist".to_owned(), Route::Worklist),
        (format!("{deep}/frames/3,1"), Route::Frames(instance(), vec![3, 1])),
        (format!("{deep}/frames/1%2c2/rendered"), Route::RenderedFrames(instance(), vec![1, 2])),
        (format!("{deep}/bulkdata/7fe00010"), Route::Bulkdata(instance(), "7FE00010".to_owned())),
        (
            format!("{deep}/bulkdata/52009229/0/00280010"),
            Route::Bulkdata(instance(), "52009229/0/00280010".to_owned()),
        ),
    ] {
        assert_eq!(route(&path).unwrap(), expected, "{path}");
    }
}

#[test]
fn unknown_shapes_are_not_found() {
    for path in [
        "",
        "/",
        "/studies",
        "/dicomwebstudies",
        "/dicomweb//",
        "/dicomweb//studies",
        "/dicomweb/patients",
        "/dicomweb/series/1.2",
        "/dicomweb/operations",
        "/dicomweb/operations/captures/room/pause",
        "/dicomweb/studies/1.2/thumbnail",
        "/dicomweb/studies/1.2/series/1.3/instances/1.4/frames",
        "/dicomweb/studies/1.2/series/1.3/instances/1.4/bulkdata",
        "/dicomweb/studies/1.2/series/1.3/instances/1.4/frames/1/rendered/x",
    ] {
        assert_eq!(route(path), Err(RouteError::NotFound), "{path}");
    }
    let deep = format!("/dicomweb{}", "/a".repeat(MAX_SEGMENTS + 1));
    assert_eq!(route(&deep), Err(RouteError::NotFound));
    let long = format!("/dicomweb/{}", "a".repeat(MAX_PATH_BYTES));
    assert_eq!(route(&long), Err(RouteError::TooLong));
}

#[test]
fn bad_identifiers_are_malformed_and_never_quoted() {
    let too_long = "1".repeat(65);
    for uid in ["", "1..2", ".1", "1.", "DOE^JOHN", "1.2%20", "1.2%00", "1%2F2", "..", "1.é", &too_long] {
        let error = route(&format!("/dicomweb/studies/{uid}/metadata")).unwrap_err();
        assert_eq!(error, RouteError::Malformed("Study Instance UID"), "{uid}");
        assert_eq!(error.to_string(), "the Study Instance UID in the path is malformed");
    }
    assert!(route(&format!("/dicomweb/studies/{}", "1".repeat(64))).is_ok());
    for bad in ["%", "%2", "%zz", "%+1", "%ff"] {
        let error = route(&format!("/dicomweb/studies/1.2{bad}")).unwrap_err();
        assert_eq!(error, RouteError::Malformed("percent-encoding"), "{bad}");
    }
    let deep = "/dicomweb/studies/1.2/series/1.2.3/instances/1.2.3.4";
    for list in ["0", "", "1,", "+1", "-1", "1,1", "1;2", "4294967296", "x"] {
        let error = route(&format!("{deep}/frames/{list}/rendered")).unwrap_err();
        assert_eq!(error, RouteError::Malformed("frame list"), "{list}");
    }
    for path in ["7FE0001", "7FE00010/0", "7FE00010//00280010", "7FE00010/-1/00280010", "PixelDat"] {
        let error = route(&format!("{deep}/bulkdata/{path}")).unwrap_err();
        assert_eq!(error, RouteError::Malformed("bulkdata path"), "{path}");
    }
}

#[test]
fn frame_lists_are_bounded() {
    let list = |n: u32| (1..=n).map(|i| i.to_string()).collect::<Vec<_>>().join(",");
    let path = |n| format!("/dicomweb/studies/1/series/1/instances/1/frames/{}", list(n));
    assert!(matches!(route(&path(1024)), Ok(Route::Frames(_, frames)) if frames.len() == 1024));
    assert_eq!(route(&path(1025)), Err(RouteError::Malformed("frame list")));
}

#[test]
fn urls_lead_back_to_what_they_name() {
    let urls = Urls::new("https://box:8443/dicomweb/");
    let path = |url: String| url.strip_prefix("https://box:8443").unwrap().to_owned();
    let (study, series, sop) = ("1.2", "1.2.3", "1.2.3.4");
    for resource in [
        resource(study, None, None),
        resource(study, Some(series), None),
        resource(study, Some(series), Some(sop)),
    ] {
        assert_eq!(route(&path(urls.resource(&resource))), Ok(Route::Retrieve(resource)));
    }
    assert_eq!(
        route(&path(urls.frames(study, series, sop, &[2, 1]))),
        Ok(Route::Frames(instance(), vec![2, 1]))
    );
    assert_eq!(
        urls.bulkdata(study, series, sop, "7FE00010"),
        "https://box:8443/dicomweb/studies/1.2/series/1.2.3/instances/1.2.3.4/bulkdata/7FE00010"
    );
    assert_eq!(urls.study("1.2 ?#"), "https://box:8443/dicomweb/studies/1.2%20%3F%23");
}

#[test]
fn allow_names_the_methods() {
    for (path, methods) in [
        ("/studies", "GET, HEAD, POST, OPTIONS"),
        ("/series", "GET, HEAD, OPTIONS"),
        ("/instances", "GET, HEAD, POST, OPTIONS"),
        ("/studies/1.2", "GET, HEAD, POST, OPTIONS"),
        ("/studies/1.2/series", "GET, HEAD, OPTIONS"),
        ("/series/subscribers/VIEWER", "GET, HEAD, POST, DELETE, OPTIONS"),
        ("/series/subscribers/VIEWER/suspend", "POST, OPTIONS"),
        ("/series/subscribers/VIEWER/resume", "POST, OPTIONS"),
        ("/subscribers/VIEWER", "GET, HEAD, OPTIONS"),
        ("/operations/captures", "GET, HEAD, OPTIONS"),
        ("/operations/captures/room", "GET, HEAD, OPTIONS"),
        ("/operations/captures/room/start", "POST, OPTIONS"),
        ("/operations/captures/room/stop", "POST, OPTIONS"),
        ("/operations/captures/room/patient", "PUT, DELETE, OPTIONS"),
        ("/operations/captures/room/step", "PUT, OPTIONS"),
        ("/operations/captures/room/emergency", "POST, OPTIONS"),
        ("/operations/worklist", "GET, HEAD, OPTIONS"),
    ] {
        assert_eq!(parse(&format!("{BASE}{path}")).unwrap().template.allow(), methods, "{path}");
    }
}

/// The six search resources.
fn scopes() -> Vec<(&'static str, Scope)> {
    let scope = |level, study: Option<&str>, series: Option<&str>| Scope {
        level,
        study: study.map(Into::into),
        series: series.map(Into::into),
    };
    vec![
        ("/studies", scope(Level::Studies, None, None)),
        ("/series", scope(Level::Series, None, None)),
        ("/instances", scope(Level::Instances, None, None)),
        ("/studies/1.2/series", scope(Level::Series, Some("1.2"), None)),
        ("/studies/1.2/instances", scope(Level::Instances, Some("1.2"), None)),
        ("/studies/1.2/series/1.3/instances", scope(Level::Instances, Some("1.2"), Some("1.3"))),
    ]
}

/// What the subscriber's own part of a path asks for, at each search resource.
fn assert_subscriptions(name: &str) {
    let subscriber = Subscriber::parse(name).unwrap();
    for (path, scope) in scopes() {
        let below = |rest: &str| route(&format!("{BASE}{path}/subscribers/{name}{rest}"));
        assert_eq!(below(""), Ok(Route::Subscription(scope.clone(), subscriber.clone())), "{path} {name}");
        assert_eq!(below("/suspend"), Ok(Route::Suspend(scope.clone(), subscriber.clone())), "{path} {name}");
        assert_eq!(below("/resume"), Ok(Route::Resume(scope.clone(), subscriber.clone())), "{path} {name}");
    }
    for path in ["/subscribers", "/ws/subscribers"] {
        let found = route(&format!("{BASE}{path}/{name}"));
        assert_eq!(found, Ok(Route::Notifications(subscriber.clone())), "{path} {name}");
    }
}

#[test]
fn a_subscriber_may_have_the_name_of_anything_else() {
    let words =
        "metadata series instances rendered studies subscribers suspend resume frames bulkdata ws 1.2";
    words.split(' ').for_each(assert_subscriptions);
    for bad in ["", "a%20b", "a%2Fb", "%C3%A9", &"x".repeat(65)] {
        let error = route(&format!("{BASE}/series/subscribers/{bad}/suspend")).unwrap_err();
        assert_eq!(error, RouteError::Malformed("subscriber"), "{bad}");
    }
}

#[test]
fn a_search_resource_is_named_as_it_was_asked_for() {
    for (path, scope) in scopes() {
        assert_eq!(search_path(&scope), path);
    }
}

#[test]
fn a_channel_is_where_the_subscriber_is_notified() {
    let subscriber = Subscriber::parse("VIEWER").unwrap();
    let url = Urls::new("https://box:8443/dicomweb").channel(&subscriber, "0f6d");
    assert_eq!(url, "wss://box:8443/dicomweb/subscribers/VIEWER?channel=0f6d");
}

proptest! {
    #[test]
    fn any_text_is_a_route_or_an_error(path in "(/dicomweb)?(/(studies|series|instances|frames|bulkdata|metadata|subscribers|suspend|resume|ws|[0-9.]{0,5}|%?[0-9A-Fa-f]{2}|.{0,4})){0,12}") {
        let _ = parse(&path);
    }

    #[test]
    fn any_subscriber_reaches_the_subscriptions(name in "[A-Za-z0-9._-]{1,64}") {
        // Clients and proxies take these for steps in the path.
        prop_assume!(name != "." && name != "..");
        assert_subscriptions(&name);
    }
}
