//! The tests start this test executable as the function, with [`as_function`] as its only test.

use std::env;

use serde_json::{Value, json};

use super::*;

/// As a test, it does nothing. Started as a function by the other tests, it does what each event says.
#[tokio::test]
async fn as_function() {
    let Ok(api) = env::var("AWS_LAMBDA_RUNTIME_API") else {
        return;
    };
    let http = reqwest::Client::new();
    let url = |path: &str| format!("http://{api}/2018-06-01/runtime/{path}");
    match env::var("START").as_deref() {
        Ok("exit") => {
            eprintln!("TABLE_NAME is missing");
            std::process::exit(7);
        }
        Ok("report") => {
            http.post(url("init/error")).body(r#"{"errorType":"Config"}"#).send().await.unwrap();
            std::process::exit(1);
        }
        _ => {}
    }
    loop {
        let next = http.get(url("invocation/next")).send().await.unwrap();
        let header = |name: &str| next.headers()[name].to_str().unwrap().to_owned();
        let id = header("lambda-runtime-aws-request-id");
        let mut answer = json!({
            "process": std::process::id(),
            "arn": header("lambda-runtime-invoked-function-arn"),
            "deadline": header("lambda-runtime-deadline-ms"),
            "traced": header("lambda-runtime-trace-id").starts_with("Root=1-"),
            "environment": env::vars().map(|(name, _)| name).collect::<Vec<_>>(),
        });
        let event: Value = next.json().await.unwrap();
        answer["event"] = event.clone();
        let (path, body) = match event["do"].as_str() {
            Some("fail") => ("error", json!({"errorType": "Oops", "errorMessage": "no"}).to_string()),
            Some("exit") => std::process::exit(3),
            Some("hang") => {
                eprintln!("hanging");
                std::future::pending().await
            }
            Some("much") => ("response", "x".repeat(local::REPLY_LIMIT + 1)),
            _ => ("response", answer.to_string()),
        };
        http.post(url(&format!("invocation/{id}/{path}"))).body(body).send().await.unwrap();
    }
}

fn spec(environment: &[(&str, &str)]) -> Spec {
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let arguments = ["--exact", "runtime_api::tests::as_function", "--nocapture", "--test-threads=1"];
    Spec {
        arguments: arguments.map(str::to_owned).to_vec(),
        ..Spec::new("example", env::current_exe().unwrap(), environment)
    }
}

async fn ask(function: &LambdaFunction, event: Value) -> Result<Value, InvokeError> {
    let reply = function.invoke(Bytes::from(event.to_string())).await?;
    Ok(serde_json::from_slice(&reply).unwrap())
}

fn error_type(result: Result<Value, InvokeError>) -> String {
    match result.unwrap_err() {
        InvokeError::Failed { error_type, .. } => error_type,
        InvokeError::TimedOut => "timed out".to_owned(),
    }
}

#[tokio::test]
async fn events_go_to_one_process_with_the_environment_that_it_was_given() {
    let function = LambdaFunction::start(spec(&[("TABLE_NAME", "t")])).await.unwrap();
    let first = ask(&function, json!({"n": 1})).await.unwrap();
    let second = ask(&function, json!({"n": 2})).await.unwrap();
    assert_eq!(first["event"], json!({"n": 1}));
    assert_eq!(second["event"], json!({"n": 2}));
    assert_eq!(first["process"], second["process"]);
    assert_eq!(first["arn"], "arn:aws:lambda:eu-west-1:000000000000:function:example");
    assert_eq!(first["traced"], true);
    let left = first["deadline"].as_str().unwrap().parse::<i64>().unwrap()
        - digime::ambient::Ambient::system().now().as_millisecond();
    assert!((1..=30_000).contains(&left), "{left}");
    let names: Vec<_> = first["environment"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(names.contains(&"TABLE_NAME") && names.contains(&"AWS_LAMBDA_FUNCTION_NAME"));
    assert!(!names.contains(&"CARGO_MANIFEST_DIR") && !names.contains(&"HOME"), "{names:?}");
}

#[tokio::test]
async fn an_error_reply_is_an_error_and_the_process_goes_on() {
    let function = LambdaFunction::start(spec(&[])).await.unwrap();
    let before = ask(&function, json!({})).await.unwrap();
    assert_eq!(error_type(ask(&function, json!({"do": "fail"})).await), "Oops");
    assert_eq!(error_type(ask(&function, json!({"do": "much"})).await), "Function.ResponseSizeTooLarge");
    assert_eq!(ask(&function, json!({})).await.unwrap()["process"], before["process"]);
}

#[tokio::test]
async fn a_process_that_ends_or_hangs_is_replaced() {
    let function = LambdaFunction::start(Spec { timeout: Duration::from_secs(1), ..spec(&[]) }).await.unwrap();
    let first = ask(&function, json!({})).await.unwrap();
    assert_eq!(error_type(ask(&function, json!({"do": "exit"})).await), "Runtime.ExitError");
    let second = ask(&function, json!({})).await.unwrap();
    assert_ne!(first["process"], second["process"]);
    assert_eq!(error_type(ask(&function, json!({"do": "hang"})).await), "timed out");
    assert_ne!(ask(&function, json!({})).await.unwrap()["process"], second["process"]);
}

#[tokio::test]
async fn a_crash_fails_what_is_under_way_and_spares_what_comes_next() {
    let function = LambdaFunction::start(spec(&[])).await.unwrap();
    let (hanging, ()) = tokio::join!(ask(&function, json!({"do": "hang"})), async {
        while !function.log().contains("hanging") {
            tokio::task::yield_now().await;
        }
        function.crash();
    });
    assert_eq!(error_type(hanging), "Runtime.ExitError");
    ask(&function, json!({})).await.unwrap();
}

#[tokio::test]
async fn several_instances_work_side_by_side() {
    let function = LambdaFunction::start(Spec { instances: 2, ..spec(&[]) }).await.unwrap();
    // `biased` sends the hanging event first.
    tokio::select! {
        biased;
        hanging = ask(&function, json!({"do": "hang"})) => panic!("the hanging event ended first: {hanging:?}"),
        quick = ask(&function, json!({})) => assert!(quick.is_ok(), "{quick:?}"),
    }
}

#[tokio::test]
async fn a_function_that_cannot_start_says_why() {
    let error = LambdaFunction::start(spec(&[("START", "exit")])).await.unwrap_err();
    let InitError::Exited { status, output, .. } = &error else { panic!("{error:?}") };
    assert!(status.contains('7') && output.contains("TABLE_NAME is missing"), "{error}");

    let error = LambdaFunction::start(spec(&[("START", "report")])).await.unwrap_err();
    assert!(matches!(&error, InitError::Reported { report, .. } if report.contains("Config")), "{error}");

    let nothing = Spec { binary: "/no/such/binary".into(), ..spec(&[]) };
    assert!(matches!(LambdaFunction::start(nothing).await.unwrap_err(), InitError::Spawn { .. }));
}

#[tokio::test]
async fn what_a_function_writes_can_be_read() {
    let function = LambdaFunction::start(spec(&[])).await.unwrap();
    ask(&function, json!({})).await.unwrap();
    assert!(function.log().contains("running 1 test"), "{}", function.log());
}
