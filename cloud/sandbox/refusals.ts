/**
 * How Omise says no: status, code and message of every refusal the sandbox can give. Pure.
 * Sources: omise-api.md, section 1 (recorded texts); a text that was never recorded is marked so.
 */

export interface Refusal {
  readonly status: 400 | 401 | 404 | 429 | 500 | 503
  readonly code: string
  readonly message: string
}

export type Answer<T> = { readonly ok: T } | { readonly refused: Refusal }

export const refuse = (status: Refusal['status'], code: string, message: string): { readonly refused: Refusal } =>
  ({ refused: { status, code, message } })

export const badRequest = (message: string) => refuse(400, 'bad_request', message)
export const invalidCharge = (message: string) => refuse(400, 'invalid_charge', message)
export const notFound = (kind: string, id: string) => refuse(404, 'not_found', `${kind} ${id} was not found`)

export const AUTHENTICATION_FAILURE: Refusal = {
  status: 401, code: 'authentication_failure', message: 'authentication failed',
}
/** The text of an unknown path was never recorded. */
export const NO_SUCH_PATH: Refusal = { status: 404, code: 'not_found', message: 'the requested resource was not found' }
/** The body of a 503 was never recorded. */
export const UNAVAILABLE: Refusal = {
  status: 503, code: 'service_unavailable', message: 'service is temporarily unavailable',
}
/** A fault of the sandbox itself. */
export const INTERNAL_ERROR: Refusal = { status: 500, code: 'internal_error', message: 'internal error' }
/** `reverse` works on uncaptured card charges only (recorded). */
export const FAILED_REVERSE: Refusal = {
  status: 400, code: 'failed_reverse', message: 'only uncaptured authorized charges can be reversed',
}
export const FAILED_CAPTURE: Refusal = { status: 400, code: 'failed_capture', message: 'capture failed' }

export const showRefusal = ({ code, message }: Refusal) => ({
  object: 'error',
  location: `https://www.omise.co/api-errors#${code.replaceAll('_', '-')}`,
  code,
  message,
})
