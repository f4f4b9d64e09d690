//! The search for a config, in real directories.

use ringfence_config::{Config, ConfigError, ConfigProblem, Environment, Search};
use std::fs;
use std::path::{Path, PathBuf};

struct Tree {
    root: tempfile::TempDir,
}

impl Tree {
    /// Directories with a config in each, whose default profile tells which it is.
    fn with_configs(files: &[&str]) -> Tree {
        let root = tempfile::tempdir().expect("a temporary directory");
        fs::create_dir_all(root.path().join("a/b")).expect("directories");
        for file in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().expect("a file has a parent")).expect("directories");
            fs::write(&path, "[runner]\n").expect("a file");
        }
        Tree { root }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    fn discover(
        &self,
        explicit: Option<&str>,
        variables: &[(&str, &Path)],
    ) -> Result<Config, ConfigError> {
        let environment = Environment::new(variables.iter().copied(), self.path("a"));
        let explicit = explicit.map(PathBuf::from);
        Config::discover(&Search { explicit, workspace: Path::new("b"), environment: &environment })
    }

    fn check(&self, explicit: Option<&str>, expect: Option<&str>) {
        let home = self.path("home");
        let config = self.discover(explicit, &[("HOME", &home)]).expect("a good config");
        assert_eq!(config.path(), expect.map(|path| self.path(path)).as_deref());
    }
}

#[test]
fn the_nearest_file_upwards_wins() {
    let user = "home/.config/ringfence/config.toml";
    Tree::with_configs(&["a/b/ringfence.toml", "ringfence.toml", user])
        .check(None, Some("a/b/ringfence.toml"));
    Tree::with_configs(&["ringfence.toml", user]).check(None, Some("ringfence.toml"));
    Tree::with_configs(&[user]).check(None, Some(user));
    Tree::with_configs(&["x.toml", "ringfence.toml"]).check(Some("../x.toml"), Some("a/../x.toml"));
}

#[test]
fn the_users_file_is_where_xdg_says() {
    let tree =
        Tree::with_configs(&["xdg/ringfence/config.toml", "home/.config/ringfence/config.toml"]);
    let (home, xdg) = (tree.path("home"), tree.path("xdg"));
    let config =
        tree.discover(None, &[("HOME", &home), ("XDG_CONFIG_HOME", &xdg)]).expect("a good config");
    assert_eq!(config.path(), Some(tree.path("xdg/ringfence/config.toml").as_path()));
    let relative = Path::new("relative");
    let config = tree
        .discover(None, &[("HOME", &home), ("XDG_CONFIG_HOME", relative)])
        .expect("a good config");
    assert_eq!(config.path(), Some(tree.path("home/.config/ringfence/config.toml").as_path()));
}

#[test]
fn a_workspace_behind_dots_is_searched_from_where_it_is() {
    let tree = Tree::with_configs(&["a/b/ringfence.toml"]);
    fs::create_dir(tree.path("c")).expect("a directory");
    let environment = Environment::new([("HOME", tree.path("home"))], tree.path("a"));
    let find = |workspace: &str| {
        let search =
            Search { explicit: None, workspace: Path::new(workspace), environment: &environment };
        Config::discover(&search).map(|config| config.path().map(Path::to_owned))
    };
    assert_eq!(find("b/../../c").expect("there is a directory"), None);
    assert_eq!(find("b/.").expect("there is a directory"), Some(tree.path("a/b/ringfence.toml")));
    assert!(find("nowhere/../b").is_err());
}

#[test]
fn messages_call_a_file_below_the_working_directory_by_its_short_name() {
    let tree = Tree::with_configs(&["a/b/ringfence.toml"]);
    fs::write(tree.path("a/b/ringfence.toml"), "x = 1").expect("a file");
    let error = tree.discover(None, &[]).expect_err("the field is unknown");
    assert_eq!(error.to_string(), "b/ringfence.toml:1:1: x: unknown field `x`");
}

#[test]
fn a_file_that_is_there_is_never_skipped() {
    let tree = Tree::with_configs(&["ringfence.toml"]);
    fs::create_dir(tree.path("a/b/ringfence.toml")).expect("a directory in place of the file");
    let error = tree.discover(None, &[]).expect_err("a directory is no config");
    assert!(matches!(error.problem(), ConfigProblem::NotAConfig { .. }), "{error}");
    fs::remove_dir(tree.path("a/b/ringfence.toml")).expect("it is empty");
    std::os::unix::fs::symlink("nowhere", tree.path("a/b/ringfence.toml")).expect("a link");
    let error = tree.discover(None, &[]).expect_err("a dangling link is no config");
    assert!(matches!(error.problem(), ConfigProblem::Read { .. }), "{error}");
}

#[test]
fn an_explicit_file_must_be_there() {
    let error = Tree::with_configs(&["ringfence.toml"])
        .discover(Some("x.toml"), &[])
        .expect_err("it is not there");
    assert!(error.to_string().contains("x.toml"), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("--config")));
}
