//! Detectors: what they mask, what they leave alone, and that the reads do not matter.

use crate::common::{check_with, cut, plain, run};
use crate::pieces::PIECES;
use proptest::prelude::*;
use ringfence_output_capture::{CustomPattern, Detector, Redaction, RedactionOptions};

fn of(detectors: &[Detector]) -> Redaction {
    let options = RedactionOptions { detectors: detectors.to_vec(), ..plain() };
    Redaction::compile(std::iter::empty::<ringfence_output_capture::Secret>(), &options).0
}

/// Each text, with the detector on, must come out as given, whatever the reads.
fn check(detector: Detector, cases: &[(&str, &str)]) {
    let redaction = of(&[detector]);
    cases.iter().for_each(|(text, expect)| check_with(&redaction, text, expect));
}

fn untouched(detector: Detector, texts: &[&str]) {
    let redaction = of(&[detector]);
    texts.iter().for_each(|text| check_with(&redaction, text, text));
}

#[test]
fn values_beside_names() {
    check(
        Detector::Kv,
        &[
            ("password=hunter2-prod\n", "password=*\n"),
            ("DB_PASSWORD=hunter2-prod x", "DB_PASSWORD=* x"),
            ("accessToken: abc123def\n", "accessToken: *\n"),
            ("{\"token\": \"abc 123 def\", \"n\": 1}", "{\"token\": \"*\", \"n\": 1}"),
            ("{\\\"token\\\": \\\"abc123def\\\"}", "{\\\"token\\\": \\\"*\\\"}"),
            ("{'api-key' : 'abc123def'}", "{'api-key' : '*'}"),
            ("X-Api-Key: abc123def\r\n", "X-Api-Key: *\r\n"),
            ("?access_token=abc123def&page=2", "?access_token=*&page=2"),
            ("password = hunter2-prod\n", "password = *\n"),
            ("password: correcthorse\n", "password: *\n"),
            ("password: correcthorse!\n", "password: *\n"),
            ("  - secret: correcthorse\n", "  - secret: *\n"),
            ("password := \"hunter2-prod\"", "password := \"*\""),
            ("config['password'] = 'hunter2-prod'", "config['password'] = '*'"),
            ("'password' => 'hunter2-prod',", "'password' => '*',"),
            ("password=b\"hunter2-prod\"", "password=b\"*\""),
            ("password=\"a \\\" quote inside\" x", "password=\"*\" x"),
            ("password=\"never closed\nnext", "password=\"*\nnext"),
            ("<db:password>hunter2</db:password>", "<db:password>*</db:password>"),
            ("SMTP_PASS=hunter2-prod", "SMTP_PASS=*"),
            ("Uid=sa;Pwd=hunter2-prod;", "Uid=sa;Pwd=*;"),
            ("token1=abc123def", "token1=*"),
            ("Authorization: Bearer abc123def\n", "Authorization: Bearer *\n"),
            ("token: Bearer abc123def\n", "token: Bearer *\n"),
            ("password=$2y$10$abcdefgh", "password=*"),
            ("password=getenv(\n", "password=*\n"),
            ("Authorization: AWS4-HMAC-SHA256 abc123def\n", "Authorization: AWS4-HMAC-SHA256 *\n"),
            ("token=abcdef123", "token=*"),
            ("secret=Tr0ub4dor(3", "secret=*"),
            ("curl -d 'token=abcdefgh' http://x", "curl -d 'token=*' http://x"),
            ("+ mysql --password hunter2 -u me\n", "+ mysql --password * -u me\n"),
            ("tool --api-key 'correct horse' x", "tool --api-key '*' x"),
            ("tool --auth-token  abc123def", "tool --auth-token  *"),
            (
                "https://x-access-token:abc123def@host/a/b.git\n",
                "https://x-access-token:*@host/a/b.git\n",
            ),
        ],
    );
}

#[test]
fn values_below_names() {
    check(
        Detector::Kv,
        &[
            ("password: |\n  hunter2-prod\nuser: me\n", "password: |\n  *\nuser: me\n"),
            (
                "a:\n  - token: >-\n      abc\n      def\n\n  b: c\n",
                "a:\n  - token: >-\n      *\n  b: c\n",
            ),
            (
                "\"secret\": |2\n    correct\n  horse\n  x: y",
                "\"secret\": |2\n    *\n  horse\n  x: y",
            ),
            ("secret: |+\r\n  correct\r\n\r\n  horse\r\nx", "secret: |+\r\n  *\nx"),
            ("token: |\n  abcdef", "token: |\n  *"),
            ("token: |\n  abcdef\n", "token: |\n  *\n"),
            (
                "<a>\n  <password>\n    hunter2\n  </password>\n</a>",
                "<a>\n  <password>\n    *\n  </password>\n</a>",
            ),
            ("<token>\r\n\tcorrecthorse\r\n</token>", "<token>\r\n\t*\r\n</token>"),
        ],
    );
    untouched(
        Detector::Kv,
        &[
            "password: |\nhunter2-prod\n",
            "  password: |\n  hunter2-prod\n",
            "the password: |\n    hunter2-prod\n",
            "token: |\n  ${TOKEN}\nsecret: >\n  {{ .Values.secret }}\n  \n",
            "token: |x| {\n    hunter2-prod\n",
            "token: |\n\n",
            "Vec<Token>\n    hunter2-prod\n</x>",
            "<token>\n    hunter2-prod\n    <x>",
            "<token>\n    hunter2 prod\n</token>",
            "<token>\n    short\n</token>",
            "usage: x <token>\n  password:\n  </",
            "  <token>\n      the token to use\n",
            "<token>\n    ${TOKEN_OF_THIS}\n</token>",
        ],
    );
}

#[test]
fn what_is_no_value_stays() {
    untouched(
        Detector::Kv,
        &[
            "tokenizer: 4 tokens; secretary\n",
            "password = None\n",
            "password=$TOKEN token=${SECRET} secret=$(cat file)\n",
            "token: \"$TOKEN\", secret: \"${{ secrets.X }}\", password: '<your password>'\n",
            "password= token=\"\" secret: no\nPassword: ",
            "password=******** token=xxxxxxxxxx\n",
            "let token = parser.next_token();\n",
            "password = getpass.getpass()\n",
            "token: String,\n    secret: &str,\n    pub token: Option<String>,\n",
            "f(token=token, password=self.password)\n",
            "password=getenv(\"DB\") token=os.environ['TOKEN']\n",
            "password = (sensitive value)\ntoken: (known after apply)\nsecret: (unset)\n",
            "password: !vault |\n  $ANSIBLE_VAULT;1.1\nAuthorization: granted\n",
            "use crate::token::Token;\n",
            "let eq_token: Token![=] = input.parse()?;\n",
            "token_count=1234567 tokens: 1234567 password_file=/etc/passwd-file\n",
            "error: unexpected token: identifier expected here\n",
            "if token == \"abcdefgh\" {\n",
            "\"password\": \"string\"\n",
            "secret=%(secret)s password=%PASSWORD%\n",
            "Authorization: `Bearer ${token}`,\n\"token\": \"Bearer $TOKEN\"\n",
            "fn f() -> Option<Token> {\n  let x = 1;\n}\nEnter <token>: <password>x</password>\n",
            "`password=` without a value asks for it\n",
            "The password is required. Your secret: keep it safe\n",
            "Authorization: Bearer\n",
            "--password PASSWORD  the password; --token string --secret <the-1st-secret>\n",
            "see https://example.com/token: abc and https://token:8080/x\n",
            "--token --user1234 --token-file a1b2c3 --password $PASSWORD1 --token abc1 the 1st\n",
            "a token abc123def and -- token abc123def",
        ],
    );
}

#[test]
fn configured_names() {
    let options = RedactionOptions { names: vec!["session_id".into(), "PIN".into()], ..plain() };
    let redaction =
        Redaction::compile(std::iter::empty::<ringfence_output_capture::Secret>(), &options).0;
    check_with(
        &redaction,
        "session-id: abc123def pin=123456 password=abc123def",
        "session-id: * pin=* password=abc123def",
    );
}

#[test]
fn authorization_headers() {
    check(
        Detector::AuthHeader,
        &[
            ("Authorization: Bearer abc.def-ghi_jkl~1+2/3==\n", "Authorization: Bearer *\n"),
            ("authorization: basic dXNlcjpwYXNz\r\n", "authorization: basic *\r\n"),
            ("Proxy-Authorization: token abcdef123\n", "Proxy-Authorization: token *\n"),
            ("-H 'Authorization: Bearer abcdefghij' x", "-H 'Authorization: Bearer *' x"),
            ("{\"Authorization\": \"Bearer abc123def\"}", "{\"Authorization\": \"Bearer *\"}"),
            ("Authorization: abc123def\n", "Authorization: *\n"),
            (
                "Authorization: Digest username=\"me\", response=\"abc\"\nx",
                "Authorization: Digest *\nx",
            ),
            ("sent bearer abcdefghij0123456789 to x", "sent bearer * to x"),
        ],
    );
    untouched(
        Detector::AuthHeader,
        &[
            "Authorization: required\n",
            "Authorization: Bearer authentication needed\n",
            "Authorization: Bearer $TOKEN\n",
            "a bearer token is needed for authorization: yes\n",
            "password=hunter2-prod\n",
        ],
    );
}

#[test]
fn tokens_of_known_shape() {
    let alnum = "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8s9T0u1V2w3X4y5Z6";
    let cases = [
        (Detector::Aws, "AKIAIOSFODNN7EXAMPLE".to_owned()),
        (Detector::Github, format!("ghp_{}", &alnum[..36])),
        (
            Detector::Github,
            format!("github_pat_{}_{}", &alnum[..22], &[alnum, alnum].concat()[..59]),
        ),
        (Detector::Gitlab, format!("glpat-{}", &alnum[..20])),
        (Detector::Slack, "xoxb-123456789012-abcdef".to_owned()),
        (Detector::Google, format!("AIza{}", &alnum[..35])),
        (Detector::Anthropic, format!("sk-ant-api03-{alnum}")),
        (Detector::Openai, format!("sk-proj-{alnum}")),
        (Detector::Openai, format!("sk-{}", &alnum[..48])),
        (Detector::Npm, format!("npm_{}", &alnum[..36])),
        (Detector::Pypi, format!("pypi-AgEIcHlwaS5vcmc{alnum}")),
        (Detector::Huggingface, format!("hf_{}", &alnum[..34])),
        (Detector::Stripe, format!("sk_live_{}", &alnum[..24])),
        (Detector::Jwt, "eyJhbGciOiJub25lIn0.eyJzdWIiOiJtZSJ9.c2lnbmF0dXJl".to_owned()),
    ];
    for (detector, token) in cases {
        check(
            detector,
            &[
                (&format!("a {token} b\n"), "a * b\n"),
                (&token, "*"),
                (&format!("x=\"{token}\""), "x=\"*\""),
            ],
        );
        let short = &token[..token.len().min(12)];
        untouched(detector, &[&format!("a {short} b"), short, &format!("z{token} ")]);
    }
    check(
        Detector::Aws,
        &[
            (
                "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\n",
                "aws_secret_access_key = *\n",
            ),
            ("\"SecretAccessKey\": \"wJalrXUtnFEMI/K7MDENG\"", "\"SecretAccessKey\": \"*\""),
        ],
    );
    untouched(
        Detector::Aws,
        &["AKIAIOSFODNN7EXAMPLEX", "akiaiosfodnn7example ", "secret_key=abc123def"],
    );
    check(
        Detector::Slack,
        &[(
            "https://hooks.slack.com/services/T0/B0/abcdefghijklmnop x",
            "https://hooks.slack.com/services/* x",
        )],
    );
}

#[test]
fn private_keys() {
    let key = "-----BEGIN RSA PRIVATE KEY-----\nMIIE\nab-cd\n-----END RSA PRIVATE KEY-----";
    check(
        Detector::Pem,
        &[
            (&format!("a\n{key}\nb"), "a\n*\nb"),
            (&format!("{key}{key}"), "**"),
            ("-----BEGIN PGP PRIVATE KEY BLOCK-----\nx\n-----END PGP PRIVATE KEY BLOCK-----", "*"),
            ("-----BEGIN PRIVATE KEY-----\nabc", "*"),
            (
                "-----BEGIN PRIVATE KEY-----\n-----END CERTIFICATE-----\n-----END PRIVATE KEY-----.",
                "*.",
            ),
        ],
    );
    untouched(
        Detector::Pem,
        &[
            "-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----\n",
            "-----BEGIN PUBLIC KEY-----\nMIIE\n-----END PUBLIC KEY-----\n",
            "-----BEGIN PRIVATE KEY----",
            "if text.contains(\"-----BEGIN PRIVATE KEY-----\") {\nnext\n",
            "-----------\n----- BEGIN PRIVATE KEY-----\n",
        ],
    );
    let (begin, x) = ("-----BEGIN PRIVATE KEY-----\n", |count| "x".repeat(count));
    let again = format!("{begin}{}{begin}{}", x(65_000), x(10_000));
    for size in [1, 60_000, 100_000] {
        let pieces: Vec<_> = again.as_bytes().chunks(size).collect();
        assert_eq!(run(&of(&[Detector::Pem]), &pieces), b"*", "a key in a key, by {size}");
    }
    // The end marker of the first ends at its limit.
    let end = "-----END PRIVATE KEY-----";
    let fill = x(64 * 1024 - 2 * begin.len() - 100 - end.len());
    let exact = format!("{begin}{fill}{begin}{}{end} shown", x(100));
    for size in [1, 60_000, 100_000] {
        let pieces: Vec<_> = exact.as_bytes().chunks(size).collect();
        assert_eq!(
            run(&of(&[Detector::Pem]), &pieces),
            b"* shown",
            "an end at the limit, by {size}"
        );
    }
    let endless = format!("-----BEGIN PRIVATE KEY-----{}", "x".repeat(100_000));
    let visible = endless.len() - 64 * 1024;
    let expect = format!("*{}", "x".repeat(visible));
    assert_eq!(run(&of(&[Detector::Pem]), &[endless.as_bytes()]), expect.as_bytes());
    assert_eq!(
        run(&of(&[Detector::Pem]), &cut(endless.as_bytes(), &[7; 12_000])),
        expect.as_bytes()
    );
}

#[test]
fn two_parts_are_no_token() {
    check(Detector::Jwt, &[("eyJhbGciOiJub25lIn0.eyJzdWIiOiJtZSJ9.c2ln…", "*…")]);
    untouched(
        Detector::Jwt,
        &[
            "x eyJhbGciOiJub25lIn0.eyJzdWIiOiJtZSJ9 y",
            "eyJhbGciOiJub25lIn0.eyJzdWIiOiJtZSJ9.",
            "eyJhbGciOiJub25lIn0.eyJzdWIiOiJtZSJ9. And",
            "eyJhbGciOiJub25lIn0",
            "heyJude",
        ],
    );
}

#[test]
fn passwords_in_urls() {
    check(
        Detector::UrlUserinfo,
        &[
            ("postgres://me:hunter2@db/x", "postgres://me:*@db/x"),
            ("https://me:p@ss:w0rd@host.example:8080/x", "https://me:*@host.example:8080/x"),
            ("redis://:hunter2@db", "redis://:*@db"),
        ],
    );
    untouched(
        Detector::UrlUserinfo,
        &[
            "http://localhost:3000/a:b@c",
            "https://me@host:22/x",
            "https://me:$PASSWORD@host/x",
            "https://me:***@host https://me:@host https://[::1]:80/",
            "a://b c:d@e",
        ],
    );
}

#[test]
fn prompts_leave_at_once() {
    let redaction = of(&Detector::ALL);
    for prompt in [
        "Password: ",
        "Enter token: ",
        "-----\nContinue? ",
        "user@host:~$ ",
        "token=",
        "\"secret\": \"",
        "run with --token ",
        "usage: login <password>\nPassword: ",
        "password: |\n> ",
        "secret: >\n",
    ] {
        let mut stream = redaction.stream();
        let mut out = Vec::new();
        stream.push(prompt.as_bytes(), &mut out);
        assert_eq!(String::from_utf8_lossy(&out), prompt);
    }
}

#[test]
fn own_patterns() {
    let with = |regexes: &[&str]| {
        let patterns =
            regexes.iter().map(|regex| CustomPattern::new("mine", regex).expect("valid")).collect();
        let options = RedactionOptions { patterns, ..plain() };
        Redaction::compile(std::iter::empty::<ringfence_output_capture::Secret>(), &options).0
    };
    let check = |regex: &str, text: &str, expect: &str| check_with(&with(&[regex]), text, expect);
    check("TCK-[0-9]{8}", "a TCK-12345678 TCK-1234567 TCK-123456789", "a * TCK-1234567 *9");
    check("ab|abcd", "xabcdx", "x*cdx");
    check("abcd|ab", "xabcx xabcdx", "x*cx x*x");
    check(r"\bkey\b", "key keys monkey key", "* keys monkey *");
    check("(?m)^id=[a-z]+$", "id=abc\nx id=abc\nid=abc1\nid=z", "*\nx id=abc\nid=abc1\n*");
    check("a[^z]*z", "a b a z c", "* c");
    check("(?i)secret", "SeCrEt", "*");
    check_with(&with(&["aaa", "aab"]), "xaaab", "x*");
    let far = format!(
        "a{}z a{}z",
        "-".repeat(CustomPattern::WINDOW - 2),
        "-".repeat(CustomPattern::WINDOW - 1)
    );
    let expect = format!("* a{}z", "-".repeat(CustomPattern::WINDOW - 1));
    check("a-*z", &far, &expect);
}

proptest! {
    #![proptest_config(crate::at_least(3000))]

    #[test]
    fn reads_do_not_matter(text in prop::collection::vec(prop::sample::select(PIECES), 0..40), cuts in prop::collection::vec(1usize..30, 0..20)) {
        let text = text.concat();
        let patterns = vec![CustomPattern::new("ticket", "TCK-[0-9]{2,8}x?").expect("valid")];
        let options = RedactionOptions { detectors: Detector::ALL.to_vec(), patterns, ..plain() };
        let redaction = Redaction::compile([ringfence_output_capture::Secret::new("hunter2abc")], &options).0;
        let whole = run(&redaction, &[text.as_bytes()]);
        let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        prop_assert_eq!(shown(&run(&redaction, &cut(text.as_bytes(), &cuts))), shown(&whole), "{}", text);
        prop_assert_eq!(shown(&run(&redaction, &cut(text.as_bytes(), &[1; 1000]))), shown(&whole), "{}", text);
    }
}
