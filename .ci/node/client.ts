// A client of the API whose types are made from infra/openapi.yaml: each operation once, and each event.
// It compiles only while the description has what is used here.
import createClient from "openapi-fetch";
import type { components, operations, paths, webhooks } from "./build/api.js";

type Schemas = components["schemas"];
export type Event = Schemas["Event"];

/** A request that was refused: the problem, or what API Gateway answered itself. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    readonly problem: Schemas["Problem"] | Schemas["ApiGatewayError"],
  ) {
    super("code" in problem ? `${problem.code}: ${problem.detail}` : problem.message);
  }
}

interface Reply<T> {
  data?: T;
  error?: Schemas["Problem"] | Schemas["ApiGatewayError"];
  response: Response;
}

function taken<T>({ data, error, response }: Reply<T>): T {
  if (error !== undefined) throw new Refused(response.status, error);
  return data as T;
}

/** An application signs each request with AWS Signature Version 4: `fetch` is where it does. */
export function reauth(baseUrl: string, fetch?: (request: Request) => Promise<Response>) {
  const client = createClient<paths>({ baseUrl, ...(fetch && { fetch }) });
  return {
    async putGrant(userId: string, contractId: string, body: Schemas["NodeGrant"] | Schemas["ApiGrant"] | Schemas["GrantWithContact"]): Promise<void> {
      const params = { path: { userId, contractId }, query: { replace: false } };
      taken(await client.PUT("/users/{userId}/grants/{contractId}", { params, body }));
    },
    async getGrant(userId: string, contractId: string): Promise<Schemas["StoredGrant"]> {
      return taken(await client.GET("/users/{userId}/grants/{contractId}", { params: { path: { userId, contractId } } }));
    },
    async getContact(userId: string): Promise<Schemas["StoredContact"]> {
      return taken(await client.GET("/users/{userId}/contact", { params: { path: { userId } } }));
    },
    async listAccountsOfUser(userId: string): Promise<Schemas["AccountList"]> {
      const params = { path: { userId }, query: { refresh: true } };
      return taken(await client.GET("/users/{userId}/accounts", { params }));
    },
    async getAccount(userId: string, accountId: string, history = false): Promise<Schemas["Account"]> {
      const params = { path: { userId, accountId }, query: { history } };
      return taken(await client.GET("/users/{userId}/accounts/{accountId}", { params }));
    },
    async acceptIdentity(userId: string, accountId: string): Promise<Schemas["Account"]> {
      const params = { path: { userId, accountId } };
      return taken(await client.POST("/users/{userId}/accounts/{accountId}/accept-identity", { params }));
    },
    async createReauthorization(
      userId: string,
      accountId: string,
      body: Schemas["NewReauthorization"],
    ): Promise<Schemas["CreatedReauthorization"]> {
      const params = { path: { userId, accountId } };
      return taken(await client.POST("/users/{userId}/accounts/{accountId}/reauthorizations", { params, body }));
    },
    async createUserReauthorization(
      userId: string,
      body: Schemas["NewReauthorization"],
    ): Promise<Schemas["CreatedReauthorization"]> {
      return taken(await client.POST("/users/{userId}/reauthorizations", { params: { path: { userId } }, body }));
    },
    async getReauthorization(reauthorizationId: string): Promise<Schemas["Reauthorization"]> {
      return taken(await client.GET("/reauthorizations/{reauthorizationId}", { params: { path: { reauthorizationId } } }));
    },
    async takeReadResult(
      userId: string,
      body: operations["takeReadResult"]["requestBody"]["content"]["application/json"],
    ): Promise<Schemas["AcceptedReadResult"]> {
      return taken(await client.POST("/users/{userId}/read-results", { params: { path: { userId } }, body }));
    },
    async listAccountsInNeed(cursor?: string): Promise<Schemas["InNeedList"]> {
      const query = { status: "reauth_required" as const, limit: 100, ...(cursor !== undefined && { cursor }) };
      return taken(await client.GET("/accounts", { params: { query } }));
    },
    async listEvents(after?: string): Promise<Schemas["EventLog"]> {
      const query = { limit: 100, ...(after !== undefined && { after }) };
      return taken(await client.GET("/events", { params: { query } }));
    },
    async redeliverEvents(body: Schemas["EventRange"]): Promise<Schemas["RedeliveredEvents"]> {
      return taken(await client.POST("/events/redeliver", { body }));
    },
    async redeliverEvent(eventId: string, channel: Schemas["Channel"]): Promise<Schemas["RedeliveredEvent"]> {
      const params = { path: { eventId } };
      return taken(await client.POST("/events/{eventId}/redeliver", { params, body: { channel } }));
    },
    async showDeliveries(eventId: string): Promise<Schemas["EventDeliveries"]> {
      return taken(await client.GET("/events/{eventId}/deliveries", { params: { path: { eventId } } }));
    },
    async showWebhook(): Promise<Schemas["Webhook"]> {
      return taken(await client.GET("/webhook"));
    },
    async enableWebhook(): Promise<Schemas["Webhook"]> {
      return taken(await client.POST("/webhook/enable"));
    },
    async testWebhook(): Promise<Schemas["WebhookTest"]> {
      return taken(await client.POST("/webhook/test"));
    },
    async forgetUser(userId: string): Promise<void> {
      taken(await client.DELETE("/users/{userId}", { params: { path: { userId } } }));
    },
  };
}

/** The operations that a user's browser or mail program calls. An application calls none of them. */
type OfBrowsers =
  | "showReconnectPageWithoutToken" | "showReconnectPage" | "checkReconnectLink" | "reconnect" | "callback"
  | "showUnsubscribePage" | "checkUnsubscribeLink" | "unsubscribe";
type OfEvents = webhooks[keyof webhooks]["post"];
type OfApplications = {
  [Name in keyof operations]: operations[Name] extends OfEvents ? never : Name;
}[keyof operations];
type Missing = Exclude<OfApplications, OfBrowsers | keyof ReturnType<typeof reauth>>;
/** Does not compile while an operation of the description has no method above. */
export const complete: [Missing] extends [never] ? true : Missing = true;

/** What to tell the user of an event. Does not compile while the description has a type that is not handled here. */
export function message(event: Event): string {
  switch (event.type) {
    case "account.reauthorization_required":
      return `${event.data.serviceName ?? "An account"} is lost (${event.data.error.code}): ${event.data.reconnectUrl}`;
    case "account.reauthorized":
      return `${event.data.serviceName ?? "An account"} works again, learned by ${event.data.via}`;
    case "account.reauthorization_failed":
    case "user.reauthorization_failed":
      return `${event.data.errorCode}${event.data.retryable ? ", can be tried again" : ""}`;
    case "account.removed":
      return `${event.data.accountId} is gone`;
    case "account.dismissed":
      return `${event.data.serviceName ?? "An account"} is no longer used, lost since ${event.data.since}`;
    case "account.authorization_expiring":
    case "user.authorization_expiring":
      return `Expires in ${event.data.daysLeft} days: ${event.data.reconnectUrl}`;
    case "user.emails_stopped":
      return `No more e-mails: ${event.data.reason}`;
    case "user.reauthorization_required":
      return event.data.recoverable ? `Reconnect: ${event.data.reconnectUrl}` : "Authorize from scratch";
    case "user.reauthorized":
      return `A new pair came by ${event.data.via}`;
  }
}
