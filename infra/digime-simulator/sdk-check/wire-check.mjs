// Takes the journeys without the SDK: `node wire-check.mjs [simulator origin]`.
import { applicationId, baseUrl, onboardUrl } from "./harness.mjs";
import { init } from "./substitute.mjs";
import { walk } from "./steps.mjs";

await walk(init({ applicationId, baseUrl, onboardUrl }));
console.log("without the SDK: all steps passed");
