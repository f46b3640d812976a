/**
 * Every unknown of the real API, and every fault the sandbox can play, as a switch: one table, one line each, with the
 * default that is used when nobody says otherwise. Pure. Switches may be turned while the sandbox runs; they are not kept
 * across a restart, which begins with those of the command line.
 */
import { z } from 'zod'

const DAY_MS = 86_400_000
const millis = (max: number) => z.int().min(0).max(max)

const AnswerOfWrite = z.enum(['normal', 'lost after execution', 'slow']).default('normal')

export const Switches = z.strictObject({
  // Faults of the API itself.
  createAnswer: AnswerOfWrite
    .describe('How POST /charges answers: at once, executed but the connection is cut, or executed and answered late'),
  expireAnswer: AnswerOfWrite.describe('How POST /charges/:id/expire answers'),
  refundAnswer: AnswerOfWrite.describe('How POST /charges/:id/refunds answers'),
  slowAnswerMs: millis(120_000).default(5_000).describe('How late a "slow" answer is'),
  latencyMs: millis(60_000).default(0).describe('Added before every API answer'),
  failNext: z.int().min(0).max(1_000_000).default(0)
    .describe('This many API requests are answered 503 and not executed; counts down'),
  rateLimitPerSecond: z.int().min(0).max(100_000).default(0)
    .describe('API requests a second before 429; 0 is no limit (no number is published)'),
  rateLimitCode: z.string().min(1).max(64).default('too_many_requests').describe('The error code of a 429 (unpublished)'),
  retryAfterSeconds: z.int().min(0).max(3_600).default(0)
    .describe('Retry-After of a 429; 0 sends no such header (none is documented)'),

  // The code.
  documentFormat: z.enum(['svg', 'png']).default('svg').describe('Kind of image that new charges get'),
  svgStyle: z.enum(['rects', 'path', 'embedded png', 'viewBox only']).default('rects')
    .describe('Markup inside the SVG (no sample is published)'),
  documentBackground: z.enum(['white', 'transparent']).default('white').describe('What lies behind the dark modules'),
  documentContentType: z.string().max(128).default('').describe('Content-Type of the image; empty is the true one'),
  documentRedirects: z.int().min(0).max(5).default(0).describe('Redirects before the image is served'),
  qrSettings: z.enum(['ignored', 'honoured']).default('ignored')
    .describe('Whether qr_settings[image_type] of a source chooses the image'),
  rawData: z.boolean().default(false).describe('Whether scannable_code carries the code\'s text as raw_data'),

  // Charges.
  objectFields: z.enum(['seed document', '2025']).default('seed document')
    .describe('Fields of sources and charges: as the Order Code Payment page prints them, or with those added by 2025'),
  expiresAt: z.enum(['honoured', 'ignored']).default('honoured').describe('Whether a charge may choose its expires_at'),
  expiresAtMinMs: millis(DAY_MS).default(0).describe('The nearest expires_at allowed, from now'),
  expiresAtMaxMs: z.int().min(1_000).max(366 * DAY_MS).default(7 * DAY_MS)
    .describe('The farthest expires_at allowed, from now'),
  expiryEndsAs: z.enum(['expired', 'failed']).default('expired')
    .describe('How a charge ends when its time is up: expired, or failed with payment_expired and charge.complete'),
  failedExpireMessage: z.string().min(1).max(200).default('expire failed').describe('Text of failed_expire'),
  sourceRefusalCode: z.string().min(1).max(64).default('invalid_charge')
    .describe('Error code for a used source, or one of another amount or currency'),
  markAsFailedCode: z.string().min(1).max(64).default('payment_rejected').describe('failure_code that mark_as_failed sets'),
  markRefusalCode: z.string().min(1).max(64).default('invalid_charge')
    .describe('Error code of mark_as_paid and mark_as_failed on a charge that is not pending'),
  payAfterExpire: z.enum(['refused', 'succeeds']).default('refused')
    .describe('Whether a customer who was already paying can still pay an expired charge'),
  bankDelayMs: millis(60_000).default(0).describe('How long the bank thinks before a wallet\'s payment completes'),
  disputableWhenPaid: z.boolean().default(false).describe('"disputable" of a paid charge'),
  feeRatePercent: z.number().min(0).max(20).nullable().default(null)
    .describe('Fee of new charges; null is the country\'s own'),
  limitAboveMax: z.enum(['clamped', 'refused']).default('clamped')
    .describe('A list with limit above 100: 100 are given, or bad_request'),

  // Refunds.
  voidDayUtcOffsetHours: z.int().min(-12).max(14).default(8).describe('The clock whose calendar day ends voids'),
  voidGraceMinutes: z.int().min(0).max(1_440).default(15).describe('Minutes after that day during which a void still works'),
  lateVoidCode: z.enum(['failed_void', 'failed_refund']).default('failed_void')
    .describe('Error code of void=true when no void is possible'),

  // Events and webhooks.
  webhooks: z.enum(['deliver', 'lose', 'duplicate']).default('deliver').describe('What happens to each webhook'),
  webhookOrder: z.enum(['kept', 'shuffled']).default('kept')
    .describe('Shuffled holds every other webhook back for half a second'),
  webhookDelayMs: millis(600_000).default(0).describe('Wait before each webhook is first sent'),
  webhookRetries: z.int().min(0).max(20).default(0)
    .describe('Further attempts after one that was not answered 2xx (none is guaranteed)'),
  webhookRetryAfterMs: millis(600_000).default(30_000).describe('Wait before each further attempt'),
  webhookTimeoutMs: z.int().min(100).max(120_000).default(10_000).describe('How long an endpoint may take to answer'),
  signature: z.enum(['valid', 'wrong', 'missing']).default('valid').describe('What the signature headers say'),
  rotation: z.enum(['overlapping', 'over']).default('overlapping')
    .describe('With two webhook secrets: signed with both, or with the first alone'),
  eventRetentionDays: z.int().min(0).max(3_650).default(0).describe('Older events are no longer found; 0 keeps all'),
})
export type Switches = z.infer<typeof Switches>
export type SwitchName = keyof Switches

export const SWITCH_NAMES = Object.keys(Switches.shape) as readonly SwitchName[]

/** The switches after a change, or every problem of the change as one sentence each. */
export function changeSwitches(current: Switches, change: unknown): { readonly switches: Switches } | { readonly problems: readonly string[] } {
  if (typeof change !== 'object' || change === null || Array.isArray(change)) {
    return { problems: ['switches are given as an object of names and values'] }
  }
  const parsed = Switches.safeParse({ ...current, ...change })
  if (parsed.success) return { switches: parsed.data }
  return {
    problems: parsed.error.issues.flatMap((issue) =>
      issue.code === 'unrecognized_keys'
        ? issue.keys.map((key) => `there is no switch "${key}"; the switches are ${SWITCH_NAMES.join(', ')}`)
        : [`switch "${issue.path.join('.')}": ${issue.message}`]),
  }
}

/** Reads 'failNext=3' as { failNext: 3 }; undefined when it is not name=value. */
export function parseSwitch(text: string): Readonly<Record<string, string | number | boolean | null>> | undefined {
  const at = text.indexOf('=')
  if (at < 1) return undefined
  const value = text.slice(at + 1)
  const isLiteral = /^(true|false|null|-?[0-9]+(\.[0-9]+)?)$/.test(value)
  // A literal by the pattern above, so it parses to one of these.
  return { [text.slice(0, at)]: isLiteral ? (JSON.parse(value) as number | boolean | null) : value }
}
