"""Checks that the template refuses the mistakes that people make in its parameters, and accepts what the functions accept."""

import pathlib
import sys
import tomllib

from cloudformation import Refused, Stack
from samcli.cli.types import CfnParameterOverridesType
from samcli.commands.deploy.deploy_context import DeployContext
from template import read

SAMCONFIG = pathlib.Path(__file__).resolve().parent.parent / "samconfig.toml"
ARN = "arn:aws:{}:eu-west-1:123456789012:{}"
SECRET = ARN.format("secretsmanager", "secret:webhook-AbCdEf")
CERTIFICATE = ARN.format("acm", "certificate/0b1c")
KEY = ARN.format("kms", "key/0b1c-2d3e")
ROLE = "arn:aws:iam::210987654321:role/app/reader"
ACCOUNT = "arn:aws:iam::210987654321:root"
WEBHOOK = {"WebhookUrl": "https://app.example.com/hooks", "WebhookSecretArn": SECRET}
DOMAIN = {"DomainName": "links.example.com", "CertificateArn": CERTIFICATE}
ORIGINS = {"AllowedReturnOrigins": "https://app.example.com, https://www.example.com:8443"}

# By parameter: values that are refused, whatever the others are.
MISTAKES = {
    "ApplicationColor": ["", "blue", "#165", "1652c6", "#1652cg"],
    "ApplicationLogoUrl": ["app.example.com/logo.png", "http://app.example.com/logo.png", "https://user:pass@app.example.com/logo.png", "https:///logo.png", "data:image/png;base64,"],
    "AllowedReturnOrigins": ["app.example.com", "https://app.example.com/", "https://a.example.com,b.example.com", "http://app.example.com", "*", "https://app"],
    "DefaultReturnOrigin": ["app.example.com", "https://app.example.com/accounts", "https://app"],
    "DefaultReturnPath": ["", "accounts", "/a#b", "/a b", "https://app.example.com/"],
    "DefaultLocale": ["english language", "de_DE", "e"],
    "AlarmEmail": ["operations", "a@b", "a b@example.com"],
    "SupportUrl": ["http://example.com/help", "help@example.com", "mailto:help", "mailto:", "javascript:alert(1)"],
    "EmailFrom": ["example.com", "a@b", "Bank <a@example.com>", "a b@example.com", "a@example.com,b@example.com"],
    "EmailIdentity": ["example", "https://example.com", "@example.com"],
    "EmailLinks": ["yes", "True"],
    "EmailDelay": ["10", "0m", "1d", "1.5h"],
    "ContractSecretPrefix": ["digime-reauth/contracts", "/contracts/*/", "a b/"],
    "DigimeBaseUrl": ["", "api.digi.me/v1.7", "http://api.digi.me/v1.7/", "https://user:pass@api.digi.me/", "https://api.digi.me/?v=1", "https://api/"],
    "DigimeOnboardUrl": ["", "api.digi.me", "https://api.digi.me/#saas", "https://api.digi.me:70000", "https://api.digi.me:", "https://api"],
    "DigimeConnectTimeout": ["2", "0s", "2m", "30s", "2000ms"],
    "DigimeTimeout": ["5", "0s", "5m", "30s", "5.5s", "-5s"],
    "ReauthorizationTtl": ["1", "1w", "0h", "1 h", "3600s"],
    "ReconnectLinkTtl": ["2w", "14", "d", "1.5d", "14D", "99999999999d", "14s", "14m", "0h"],
    "ReminderSchedule": ["", "daily", "1", "1w", "0d", "1d,", "1d;3d", "none,1d", ",".join(f"{day}d" for day in range(1, 22))],
    "DefaultTimeZone": ["", "Europe/", "+01:00", "Europe Amsterdam", "../etc"],
    "ServiceLifetimes": ["Spotify", "Spotify=180", "=180d", " =1d", "Spotify=180d,", "MedMij=idle", "MedMij=busy 90d", "Spotify=6m"],
    "NoticeRate": ["0", "-1", "many", "1000001"],
    "OutageMinAccounts": ["1", "0", "many"],
    "OutageFactor": ["1", "0"],
    "OutageHold": ["2", "9m", "0m", "1441m", "25h", "2d", "0h", "1.5h", "600s"],
    "DomainName": ["https://links.example.com", "links", "links.example.com/", "Links.example.com"],
    "CertificateArn": ["links.example.com"],
    "DisableExecuteApiEndpoint": ["yes", "True"],
    "PublicBaseUrl": [
        "links.example.com",
        "http://links.example.com",
        "https://links.example.com/",
        "https://links.example.com/a/",
        "https://links.example.com/?q",
        "https://links",
        "https://localhost:8443",
        "https://links.example.com/callback",
        "https://links.example.com/reauth/callback",
    ],
    "ApiCallers": ["123456789012", "arn:aws:iam::12345:role/app", "*"],
    "ApiRateLimit": ["0", "-1", "many", "20000"],
    "ApiBurstLimit": ["0", "6000"],
    "ReadResultsTopicArn": ["read-results", ARN.format("sqs", "read-results")],
    "ReadResultsSenders": ["app", f"{ROLE},app", "*"],
    "NotificationSubscribers": ["210987654321", "*"],
    "WebhookUrl": ["app.example.com/hooks", "http://app.example.com/hooks", "https://user:pass@app.example.com/", "https://", "https://app/hooks", "http://localhost/hooks", "https://127.0.0.1/hooks"],
    # The last one is a part of an ARN, which IAM compares with the whole one.
    "WebhookSecretArn": ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "webhook", ARN.format("secretsmanager", "secret:webhook")],
    "KmsKeyArn": ["0b1c-2d3e", "alias/mine", ARN.format("kms", "alias/mine")],
    "CreateKmsKey": ["yes"],
    "PermissionsBoundaryArn": ["boundary", "arn:aws:iam::123456789012:role/boundary"],
    "TableDeletionProtection": ["on"],
    "TrafficShifting": ["Canary", "canary10Percent5Minutes"],
    "Release": ["v1 beta", "a" * 65],
    "LogLevel": ["verbose", "warning", "", "info,", "reauth_core", "=info", "a=loud", "3"],
    "LogRetentionDays": ["45", "0", "forever"],
    "CreateReauthUrlReservedConcurrency": ["-1", "all", ""],
    "ReauthCallbackReservedConcurrency": ["-1"],
    "AccountsReservedConcurrency": ["1.5"],
    "EventsReservedConcurrency": ["+1"],
    "SweepAccountsReservedConcurrency": ["-1"],
    # The queues start up to 10 invocations at once, that of webhooks 2.
    "RecordReadResultReservedConcurrency": ["1", "9"],
    "NotifyReauthReservedConcurrency": ["1", "9"],
    "PostWebhookReservedConcurrency": ["1", "-1"],
    "EmailUserReservedConcurrency": ["3", "-1"],
}
# Values that are refused together.
MISTAKEN_TOGETHER = [
    {"WebhookUrl": "https://app.example.com/hooks"},
    {"WebhookSecretArn": SECRET},
    {"DefaultReturnOrigin": "https://app.example.com"},
    {**ORIGINS, "DefaultReturnOrigin": "https://elsewhere.example.com"},
    {**ORIGINS, "DefaultReturnOrigin": "https://www.example.com"},
    {"DomainName": "links.example.com"},
    {"CertificateArn": CERTIFICATE},
    {**DOMAIN, "PublicBaseUrl": "https://proxy.example.com"},
    {"DisableExecuteApiEndpoint": "true"},
    {"KmsKeyArn": KEY, "CreateKmsKey": "true"},
    {"DefaultReturnPath": "/accounts"},
    {"EmailIdentity": "example.com"},
]
# A parameter that an earlier version had. CloudFormation would refuse it, but `sam deploy` drops it without a word.
UNKNOWN = {"Architecture": "x86_64"}
# By parameter: other values than the default, with the parameters that they need.
GOOD = {
    "ApplicationName": [{"ApplicationName": "Ünïted Bank & Co."}],
    "ApplicationColor": [{"ApplicationColor": "#FFcc00"}],
    "ApplicationLogoUrl": [{"ApplicationLogoUrl": "https://cdn.example.com:8443/logo.svg?v=2"}, {"ApplicationLogoUrl": "https://example.com"}],
    "SupportUrl": [{"SupportUrl": "https://example.com/help#contact"}, {"SupportUrl": "mailto:help@example.com?subject=Reconnect"}],
    "AllowedReturnOrigins": [ORIGINS, {"AllowedReturnOrigins": "http://localhost:3000"}],
    "DefaultReturnOrigin": [{**ORIGINS, "DefaultReturnOrigin": "https://www.example.com:8443"}],
    "DefaultReturnPath": [{**ORIGINS, "DefaultReturnOrigin": "https://app.example.com", "DefaultReturnPath": "/accounts?tab=1&b=%20"}],
    "DefaultLocale": [{"DefaultLocale": "pt-BR"}, {"DefaultLocale": "zh-Hant-TW"}, {"DefaultLocale": ""}],
    "AlarmEmail": [{"AlarmEmail": "operations+reauth@mail.example.com"}],
    "EmailFrom": [{"EmailFrom": "connections@mail.example.com"}],
    "EmailIdentity": [{"EmailFrom": "connections@mail.example.com", "EmailIdentity": "example.com"}],
    "EmailLinks": [{"EmailLinks": "false"}],
    "EmailDelay": [{"EmailDelay": "90s"}, {"EmailDelay": "1h"}],
    "ContractSecretPrefix": [{"ContractSecretPrefix": "bank/digime/"}],
    "DigimeBaseUrl": [{"DigimeBaseUrl": "https://api.example.com:8443/v1.7"}, {"DigimeBaseUrl": "http://127.0.0.1:9001/v1.7/"}],
    "DigimeOnboardUrl": [{"DigimeOnboardUrl": "https://api.example.com:60999"}],
    "DigimeConnectTimeout": [{"DigimeConnectTimeout": "1s"}],
    "DigimeTimeout": [{"DigimeTimeout": "20s"}],
    "ReauthorizationTtl": [{"ReauthorizationTtl": "90m"}, {"ReauthorizationTtl": "1d"}],
    "ReconnectLinkTtl": [{"ReconnectLinkTtl": "1h"}, {"ReconnectLinkTtl": "30d"}],
    "ReminderSchedule": [{"ReminderSchedule": value} for value in ("none", "12h", "1d, 2d, 30d", "30m,1h")],
    "DefaultTimeZone": [{"DefaultTimeZone": value} for value in ("Europe/Amsterdam", "America/Argentina/Buenos_Aires", "Etc/GMT+5")],
    "ServiceLifetimes": [{"ServiceLifetimes": value} for value in ("Spotify=180d", "Spotify=180d,MedMij=idle 90d", "St. Clement's Hospital=12h")],
    "NoticeRate": [{"NoticeRate": "1"}, {"NoticeRate": "1000000"}],
    "OutageMinAccounts": [{"OutageMinAccounts": "2"}],
    "OutageFactor": [{"OutageFactor": "3"}],
    "OutageHold": [{"OutageHold": value} for value in ("10m", "90m", "1000m", "1440m", "1h", "24h", "1d")],
    "DomainName": [DOMAIN],
    "CertificateArn": [DOMAIN],
    "DisableExecuteApiEndpoint": [{**DOMAIN, "DisableExecuteApiEndpoint": "true"}],
    "PublicBaseUrl": [{"PublicBaseUrl": "https://proxy.example.com/callback/reauth"}, {"PublicBaseUrl": "https://proxy.example.com/reauth"}],
    "ApiCallers": [{"ApiCallers": f"{ROLE}, {ACCOUNT}"}],
    "ApiRateLimit": [{"ApiRateLimit": "10000"}],
    "ApiBurstLimit": [{"ApiBurstLimit": "5000"}],
    "ReadResultsTopicArn": [{"ReadResultsTopicArn": ARN.format("sns", "read-results")}],
    "ReadResultsSenders": [{"ReadResultsSenders": f"{ROLE},{ACCOUNT}"}],
    "NotificationSubscribers": [{"NotificationSubscribers": ACCOUNT}],
    "WebhookUrl": [WEBHOOK, {**WEBHOOK, "WebhookUrl": "https://example.com:8443?tenant=1"}],
    "WebhookSecretArn": [WEBHOOK],
    "KmsKeyArn": [{"KmsKeyArn": KEY}],
    "CreateKmsKey": [{"CreateKmsKey": "true"}],
    "PermissionsBoundaryArn": [{"PermissionsBoundaryArn": "arn:aws:iam::123456789012:policy/boundary"}],
    "TableDeletionProtection": [{"TableDeletionProtection": "false"}],
    "TrafficShifting": [{"TrafficShifting": "Canary10Percent5Minutes"}],
    "Release": [{"Release": "v1.2.3-4_a"}],
    "LogLevel": [{"LogLevel": "warn,reauth_core::store=debug, accounts=off"}],
    "LogRetentionDays": [{"LogRetentionDays": "365"}],
    "CreateReauthUrlReservedConcurrency": [{"CreateReauthUrlReservedConcurrency": "1"}],
    "ReauthCallbackReservedConcurrency": [{"ReauthCallbackReservedConcurrency": "100"}],
    "AccountsReservedConcurrency": [{"AccountsReservedConcurrency": "5"}],
    "EventsReservedConcurrency": [{"EventsReservedConcurrency": "10"}],
    "SweepAccountsReservedConcurrency": [{"SweepAccountsReservedConcurrency": "1"}],
    "RecordReadResultReservedConcurrency": [{"RecordReadResultReservedConcurrency": "10"}],
    "NotifyReauthReservedConcurrency": [{"NotifyReauthReservedConcurrency": "10"}],
    "EmailUserReservedConcurrency": [{"EmailUserReservedConcurrency": "4"}, {"EmailUserReservedConcurrency": "10"}],
    "PostWebhookReservedConcurrency": [{"PostWebhookReservedConcurrency": "2"}, {"PostWebhookReservedConcurrency": "250"}],
}


def refusal(template, parameters):
    try:
        Stack(template, "digime-reauth", parameters).check()
    except Refused as reason:
        return str(reason)
    return None


def stages(template):
    """The sections of samconfig.toml are accepted, and name a stack each."""
    sections = tomllib.loads(SAMCONFIG.read_text())
    deployments = {name: section["deploy"]["parameters"] for name, section in sections.items() if name != "version"}
    if len({deployment["stack_name"] for deployment in deployments.values()}) < len(deployments):
        yield "two sections of samconfig.toml deploy the same stack"
    for name, deployment in deployments.items():
        overrides = CfnParameterOverridesType().convert(deployment.get("parameter_overrides", ""), None, None)
        if reason := refusal(template, overrides):
            yield f"samconfig.toml, {name}: {reason}"
        if name != "default" and overrides.get("Release") != "none":
            yield f"samconfig.toml, {name}: the pipeline replaces Release=none"


def main():
    template = read()
    wrong = [f"no value is tried for {name}" for name in template["Parameters"] if name not in GOOD]
    # With the parameters that a good value needs, so that no rule refuses them first.
    mistakes = [{**GOOD[name][0], name: value} for name, values in MISTAKES.items() for value in values]
    for parameters in mistakes + MISTAKEN_TOGETHER:
        if refusal(template, parameters) is None:
            wrong.append(f"accepted: {parameters}")
    for parameters in [{}, *(one for several in GOOD.values() for one in several)]:
        if reason := refusal(template, parameters):
            wrong.append(f"refused: {parameters}: {reason}")
    if UNKNOWN in ({it["ParameterKey"]: it.get("ParameterValue")} for it in DeployContext.merge_parameters(template, UNKNOWN)):
        wrong.append("sam deploy no longer drops unknown parameters: CHANGELOG.md and the comment at UNKNOWN say that it does")
    if refusal(template, UNKNOWN) is None:
        wrong.append(f"samconfig.toml could name {UNKNOWN}")
    maximum = max(
        event["Properties"]["ScalingConfig"]["MaximumConcurrency"]
        for resource in template["Resources"].values()
        for event in resource.get("Properties", {}).get("Events", {}).values()
        if event["Type"] == "SQS"
    )
    if maximum > 10:
        wrong.append(f"a queue starts up to {maximum} invocations, and 10 are accepted as reserved concurrency")
    wrong += stages(template)
    print(*wrong, sep="\n", end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
