//! `framegate check FILE`: is this configuration right, and what does it come to? Prints the
//! effective configuration as TOML, each value with the place that sets it, so that the output can
//! be read, compared, and used as a file. Filters and names of patients are withheld: of them it says only
//! that they are set, and a file has to be given them anew.

use std::io::{self, Write};
use std::path::Path;

use crate::config;
use crate::service;

/// Loads `file` with its drop-ins and the `FRAMEGATE_*` variables of `env`, looks for what a start would
/// not take, and prints the effective configuration on standard output. Files that it names are not read.
///
/// # Errors
/// Problems go to standard error, one a line, and the error counts them. Also fails when an output
/// cannot be written to.
pub fn check(file: &Path, env: impl Iterator<Item = (String, String)>) -> anyhow::Result<()> {
    match config::load(Some(file), env) {
        Ok(loaded) => {
            service::preflight(&loaded.settings)?;
            Ok(config::print(&loaded.values, &mut io::stdout().lock())?)
        }
        Err(errors) => {
            writeln!(io::stderr().lock(), "{errors}")?;
            match errors.problems.len() {
                1 => anyhow::bail!("1 problem in the configuration"),
                count => anyhow::bail!("{count} problems in the configuration"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(file: &Path, env: &[(&str, &str)]) -> (config::Loaded, String) {
        let env: Vec<_> = env.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let loaded = config::load(Some(file), env.into_iter()).unwrap();
        let mut out = Vec::new();
        config::print(&loaded.values, &mut out).unwrap();
        (loaded, String::from_utf8(out).unwrap())
    }

    #[test]
    fn what_is_printed_loads_to_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let first = directory.path().join("first.toml");
        let text = "[dicomweb]\ntls.self_signed = true\ncors_origins = [\"https://viewer.example\"]\n\
                    [dimse.tls]\ncertificate = '/a \"b\" \\c.pem'\nkey = \"/d'#'.pem\"\n";
        std::fs::write(&first, text).unwrap();
        let env = [("FRAMEGATE_PATTERN__FPS", "30"), ("FRAMEGATE_DIMSE__CALLING_AE_TITLES", "A,B")];
        let (loaded, text) = printed(&first, &env);
        assert!(text.starts_with("[hub]\nbudget_bytes = 536870912 # built-in\n"), "{text}");
        assert!(text.contains("\n\n[dimse.limits]\nassociations = 32 # built-in\n"), "{text}");
        let line = format!("self_signed = true # {}:2\n", first.display());
        assert!(text.contains(&line), "{text}");
        assert!(
            text.contains("calling_ae_titles = [\"A\", \"B\"] # FRAMEGATE_DIMSE__CALLING_AE_TITLES\n"),
            "{text}"
        );

        let second = directory.path().join("second.toml");
        std::fs::write(&second, &text).unwrap();
        let (again, _) = printed(&second, &[]);
        assert_eq!(again.settings, loaded.settings);
        assert_eq!(
            again.values.iter().map(|v| &v.value).collect::<Vec<_>>(),
            loaded.values.iter().map(|v| &v.value).collect::<Vec<_>>()
        );
    }

    #[test]
    fn named_sections_are_sections_and_what_names_a_patient_is_withheld() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("framegate.toml");
        let text = "dicomweb.tls.self_signed = true\n[destination.pacs]\nurl = 'https://pacs.example'\n\
                    [principal.a]\nfilter = 'PatientID=4711'\n[principal.b]\n[subscription.s]\nsearch = '/series'\n\
                    subscriber = 'S'\nfilter = 'PatientID=4711'\n[access]\nanonymous_filter = 'PatientID=4711'\n\
                    [capture.room]\npatient_name = 'Doe4711'\n";
        std::fs::write(&file, text).unwrap();
        let (_, text) = printed(&file, &[]);
        assert!(!text.contains("4711"), "{text}");
        assert!(
            text.contains(&format!("\nanonymous_filter = \"(set)\" # {}:12\n", file.display())),
            "{text}"
        );
        assert!(text.contains("\n\n[principal.b]\ncertificates = [] # built-in\n"), "{text}");
        let line = format!("\n\n[destination.pacs]\nurl = \"https://pacs.example\" # {}:3\n", file.display());
        assert!(text.contains(&line), "{text}");
        assert!(text.contains(&format!("\npatient_name = \"(set)\" # {}:14\n", file.display())), "{text}");
        // What is printed does not give anybody more to see: its filters have to be written again.
        let again = directory.path().join("again.toml");
        std::fs::write(&again, &text).unwrap();
        let problems = config::load(Some(&again), std::iter::empty()).unwrap_err().problems;
        assert_eq!(problems.len(), 4, "{problems:?}");
        std::fs::write(&again, text.replace("\"(set)\"", "\"\"")).unwrap();
        assert!(config::load(Some(&again), std::iter::empty()).is_ok());
    }

    #[test]
    fn a_path_cannot_break_out_of_its_comment() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a\nb.toml");
        std::fs::write(&file, "dicomweb.tls.self_signed = true").unwrap();
        let (_, text) = printed(&file, &[]);
        assert!(text.parse::<toml::Table>().is_ok(), "{text}");
    }

    #[test]
    fn what_only_a_start_finds_is_found_without_its_files() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("framegate.toml");
        let check = |more: &str| {
            let text = "dicomweb.tls = { certificate = '/nowhere/a.pem', key = '/nowhere/a.key' }\n\
                        access.jwt = { jwks = '/nowhere/k', issuer = 'https://a.example', audience = 'us' }\n";
            std::fs::write(&file, format!("{text}{more}")).unwrap();
            check(&file, std::iter::empty())
        };
        check("").unwrap();
        let subscription = "[subscription.s]\nsearch = '/series'\nsubscriber = 'S'\nfilter =";
        for (faulty, place) in [
            ("[principal.a]\nfilter = 'PatientNme=Doe'", "principal.a.filter: PatientNme"),
            ("access.anonymous_filter = 'Doe'", "access.anonymous_filter: part 1"),
            (&format!("{subscription} 'StudyDate=Doe'"), "subscription.s: filter: parameter StudyDate"),
            (&format!("{subscription} 'limit=3'"), "subscription.s: filter: limit"),
            (
                "[principal.a]\ncertificates = ['DNS:x']\n[principal.b]\ncertificates = ['DNS:X']",
                "principal.a",
            ),
        ] {
            let error = format!("{:#}", check(faulty).unwrap_err());
            assert!(error.starts_with(place) && !error.contains("Doe"), "{error}");
        }
    }

    #[test]
    fn problems_are_counted() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("framegate.toml");
        std::fs::write(&file, "a = 1\nb = 2\n").unwrap();
        let error = check(&file, std::iter::empty()).unwrap_err();
        assert_eq!(error.to_string(), "2 problems in the configuration");
    }
}
