/**
 * The Omise side over HTTP: keys, bodies, answers and faults. What a request means is in operations.ts.
 */
import { randomUUID } from 'node:crypto'
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import qs from 'qs'
import { type Account, API_VERSION, showAccount, showCapability } from './account.js'
import { codeImage } from './code-image.js'
import type { Operations } from './operations.js'
import { prettyJson } from './pretty-json.js'
import {
  type Answer, AUTHENTICATION_FAILURE, badRequest, FAILED_CAPTURE,
  FAILED_REVERSE, INTERNAL_ERROR, NO_SUCH_PATH, notFound, type Refusal,
  showRefusal, UNAVAILABLE,
} from './refusals.js'
import { asBody, isWebUrl } from './requests.js'
import type { State } from './state.js'
import type { changeSwitches, Switches } from './switches.js'

/** Which key opens a route: none at all, either of the two, or the secret one. */
type NeededKey = 'none' | 'either' | 'secret'

declare module 'fastify' {
  interface FastifyContextConfig { key?: NeededKey }
  interface FastifyReply { refusal: string }
}

export interface ServerWorld {
  readonly account: Account
  readonly operations: Operations
  readonly state: State
  readonly secretKey: string
  readonly publicKey: string
  readonly switches: () => Switches
  readonly change: (wanted: unknown) => ReturnType<typeof changeSwitches>
  /** Waits, or rejects when the sandbox closes. */
  readonly pause: (ms: number) => Promise<void>
  readonly log: Logger
}

const BODY_BYTES_MAX = 65_536
const FORM_FIELDS_MAX = 200

/** A server with every route of the API; not yet listening. */
export function createServer(world: ServerWorld): FastifyInstance {
  const server = fastify({ bodyLimit: BODY_BYTES_MAX, forceCloseConnections: true, requestTimeout: 30_000, exposeHeadRoutes: false })
  server.decorateReply('refusal', '')
  addBodies(server)
  addGate(server, world)
  addFailures(server, world.log)
  addSources(server, world)
  addCharges(server, world)
  addRefundsAndEvents(server, world)
  addDocuments(server, world)
  addAccount(server, world)
  return server
}

function addBodies(server: FastifyInstance): void {
  const parseJson = server.getDefaultJsonParser('error', 'error')
  server.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    if (body.length === 0) done(null, {})
    else void parseJson(request, String(body), done)
  })
  server.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_request, body, done) => {
    done(null, qs.parse(String(body), { depth: 5, parameterLimit: FORM_FIELDS_MAX, arrayLimit: 20 }))
  })
}

/** Before a request is executed: faults, the key, the rate, the version. After it: one line of log. */
function addGate(server: FastifyInstance, world: ServerWorld): void {
  const withinRate = rateLimit(() => world.switches().rateLimitPerSecond)

  server.addHook('onRequest', async (request, reply) => {
    reply.header('X-Request-Id', randomUUID()).header('Cache-Control', 'no-cache, no-store')
    if (request.url.startsWith('/sandbox/')) return
    const { failNext, rateLimitCode, retryAfterSeconds, latencyMs } = world.switches()
    await world.pause(latencyMs)
    if (failNext > 0) {
      world.change({ failNext: failNext - 1 })
      return sendRefusal(reply, UNAVAILABLE)
    }
    const needed = request.routeOptions.config.key ?? 'secret'
    if (!mayPass(request, needed, world)) return sendRefusal(reply, AUTHENTICATION_FAILURE)
    if (!withinRate()) {
      if (retryAfterSeconds > 0) reply.header('Retry-After', retryAfterSeconds)
      return sendRefusal(reply, { status: 429, code: rateLimitCode, message: 'too many requests' })
    }
    const version = request.headers['omise-version'] ?? API_VERSION
    if (version !== API_VERSION) {
      return sendRefusal(reply, badRequest(`this sandbox speaks API version ${API_VERSION} only`).refused)
    }
  })
  server.addHook('preHandler', async () => world.operations.sweep())
  server.addHook('onResponse', async (request, reply) => {
    const { url = 'unknown path' } = request.routeOptions
    const code = reply.refusal === '' ? {} : { code: reply.refusal }
    world.log.info(
      { method: request.method, path: url, status: reply.statusCode, ...code, durationMs: Math.round(reply.elapsedTime * 10) / 10 },
      'request answered')
  })
}

/** Whether one more request fits into this second. */
function rateLimit(perSecond: () => number): () => boolean {
  let second = 0
  let count = 0
  return () => {
    const current = Math.floor(performance.now() / 1_000)
    if (current !== second) [second, count] = [current, 0]
    count++
    return perSecond() === 0 || count <= perSecond()
  }
}

/** The key is the user name, the password is blank. An unknown path needs a secret key before it is called unknown. */
function mayPass({ headers }: FastifyRequest, needed: NeededKey, { secretKey, publicKey }: ServerWorld): boolean {
  if (needed === 'none') return true
  const [scheme = '', credentials = ''] = (headers.authorization ?? '').split(' ')
  if (scheme.toLowerCase() !== 'basic') return false
  const given = Buffer.from(credentials, 'base64').toString()
  return given === `${secretKey}:` || (needed === 'either' && given === `${publicKey}:`)
}

function addFailures(server: FastifyInstance, log: Logger): void {
  server.setNotFoundHandler((_request, reply) => sendRefusal(reply, NO_SUCH_PATH))
  server.setErrorHandler((fault: Error & { readonly statusCode?: number }, _request, reply) => {
    const { statusCode = 500 } = fault
    if (statusCode < 500) return sendRefusal(reply, badRequest(fault.message).refused)
    log.error({ err: fault }, 'request failed')
    return sendRefusal(reply, INTERNAL_ERROR)
  })
}

type OfCharge = { Params: { charge: string } }

function addSources(server: FastifyInstance, { operations }: ServerWorld): void {
  const key = { config: { key: 'either' } } as const
  server.post('/sources', key, (request, reply) => answer(reply, operations.createSource(asBody(request.body))))
  server.get<{ Params: { source: string } }>('/sources/:source', key, ({ params }, reply) =>
    answer(reply, operations.source(params.source)))
}

/** Answers a write that was done as the switch says: at once, late, or never, with the connection cut. */
async function answerAs(how: Switches['createAnswer'], { switches, pause, log }: ServerWorld, request: FastifyRequest, reply: FastifyReply, done: Answer<object>) {
  if ('ok' in done) {
    switch (how) {
      case 'normal': break
      case 'slow': await pause(switches().slowAnswerMs); break
      case 'lost after execution':
        log.warn({ method: request.method, path: request.url }, 'answer lost')
        reply.hijack()
        request.raw.socket.destroy()
        return reply
    }
  }
  return answer(reply, done)
}

function addCharges(server: FastifyInstance, world: ServerWorld): void {
  const { operations, switches } = world
  server.post('/charges', (request, reply) =>
    answerAs(switches().createAnswer, world, request, reply, operations.createCharge(asBody(request.body))))
  server.get('/charges', ({ query }, reply) => answer(reply, operations.charges(asBody(query))))
  server.get<OfCharge>('/charges/:charge', ({ params }, reply) => answer(reply, operations.charge(params.charge)))
  server.patch<OfCharge>('/charges/:charge', ({ params, body }, reply) =>
    answer(reply, operations.changeCharge(params.charge, asBody(body))))
  const act = (path: string, operation: (charge: string) => Answer<object>) =>
    server.post<OfCharge>(`/charges/:charge/${path}`, ({ params }, reply) => answer(reply, operation(params.charge)))
  server.post<OfCharge>('/charges/:charge/expire', (request, reply) =>
    answerAs(switches().expireAnswer, world, request, reply, operations.expireCharge(request.params.charge)))
  act('mark_as_paid', (charge) => operations.markCharge(charge, 'paid'))
  act('mark_as_failed', (charge) => operations.markCharge(charge, 'failed'))
  act('reverse', (charge) => operations.refuseCardOnly(charge, FAILED_REVERSE))
  act('capture', (charge) => operations.refuseCardOnly(charge, FAILED_CAPTURE))
}

function addRefundsAndEvents(server: FastifyInstance, world: ServerWorld): void {
  const { operations, switches } = world
  server.post<OfCharge>('/charges/:charge/refunds', (request, reply) =>
    answerAs(switches().refundAnswer, world, request, reply, operations.createRefund(request.params.charge, asBody(request.body))))
  server.get<OfCharge>('/charges/:charge/refunds', ({ params, query }, reply) =>
    answer(reply, operations.refundsOf(params.charge, asBody(query))))
  server.get<{ Params: { charge: string; refund: string } }>('/charges/:charge/refunds/:refund', ({ params }, reply) =>
    answer(reply, operations.refund(params.charge, params.refund)))
  server.get('/refunds', ({ query }, reply) => answer(reply, operations.refunds(asBody(query))))
  server.get<OfCharge>('/charges/:charge/events', ({ params, query }, reply) =>
    answer(reply, operations.eventsOf(params.charge, asBody(query))))
  server.get('/events', ({ query }, reply) => answer(reply, operations.events(asBody(query))))
  server.get<{ Params: { event: string } }>('/events/:event', ({ params }, reply) =>
    answer(reply, operations.event(params.event)))
}

interface DocumentRoute {
  Params: { charge: string; document: string; secret: string }
  Querystring: { format?: string; hop?: string }
}

function addDocuments(server: FastifyInstance, { operations, switches }: ServerWorld): void {
  server.get<DocumentRoute>('/charges/:charge/documents/:document', ({ params }, reply) =>
    answer(reply, operations.document(params.charge, params.document)))
  // The address itself is the permission: shops put it into an <img>.
  server.get<DocumentRoute>('/charges/:charge/documents/:document/downloads/:secret', { config: { key: 'none' } }, ({ params, query }, reply) => {
    const charge = operations.documentOf(params.charge, params.document, params.secret)
    if (charge === undefined) return sendRefusal(reply, notFound('document', params.document).refused)
    const { documentRedirects, documentContentType, ...style } = switches()
    const format = query.format === 'svg' || query.format === 'png' ? query.format : charge.document.format
    const hop = Number(query.hop ?? 0)
    if (hop < documentRedirects) return reply.redirect(`?hop=${hop + 1}&format=${format}`, 302)
    const image = codeImage(charge.payload, format, style)
    return reply.type(documentContentType === '' ? image.contentType : documentContentType).send(image.bytes)
  })
}

function addAccount(server: FastifyInstance, { account, state }: ServerWorld): void {
  const show = () => showAccount(account, state.setting('webhook uri') ?? null)
  server.get('/capability', { config: { key: 'either' } }, (_request, reply) =>
    answer(reply, { ok: showCapability(account) }))
  server.get('/account', (_request, reply) => answer(reply, { ok: show() }))
  server.patch('/account', (request, reply) => {
    const uri = asBody(request.body)['webhook_uri']
    if (!isWebUrl(uri)) return answer(reply, badRequest('webhook_uri is invalid'))
    state.changeSetting('webhook uri', uri)
    return answer(reply, { ok: show() })
  })
}

const JSON_TYPE = 'application/json; charset=utf-8'

const answer = (reply: FastifyReply, given: Answer<object>): FastifyReply =>
  'refused' in given ? sendRefusal(reply, given.refused) : reply.header('Omise-Version', API_VERSION).type(JSON_TYPE).send(prettyJson(given.ok))

function sendRefusal(reply: FastifyReply, refusal: Refusal): FastifyReply {
  reply.refusal = refusal.code
  return reply.code(refusal.status).type(JSON_TYPE).send(prettyJson(showRefusal(refusal)))
}
