/**
 * Product buttons, each on a line of its own: one press, one product. While nothing changes nothing runs, where the kernel
 * tells of changes. A button whose line is missing takes no other with it, and neither does one that is stuck.
 *
 * Of two at once only the first counts, until all are up: a machine sells one thing at a time. A button that is down when
 * its line is opened was not pressed.
 */
import type { Logger } from 'pino'
import type { AmountSource, Input, PartReport } from '../driver.js'
import type { Board, InputLine } from '../linux/gpio.js'
import { type Contact, debounce, isStuck, settled, STUCK_MS } from './debounce.js'

export interface ButtonsOptions {
  /** By the name of the product: the BCM number of its line, and whether pressed is the low level. */
  readonly buttons: Readonly<Record<string, { readonly pin: number; readonly activeLow: boolean }>>
  readonly board: Pick<Board, 'openInput'>
  readonly report: PartReport
  readonly log: Logger
  readonly now: () => number
  /** Calls once, no earlier than `at`; the returned function calls it off. */
  readonly alarm: (at: number, ring: () => void) => () => void
}

/** Between two samples after a change: a button is believed after 30 ms. */
export const SAMPLE_MS = 10
/** Samples go on for this long after the last change. */
export const LINGER_MS = 100
/** Between two samples where the kernel tells of no changes. */
export const POLL_MS = 25
/** Until lines that failed are tried again. */
export const RETRY_MS = 5_000

/**
 * What a sample of all buttons says: `closed` stands beside `contacts`, and its index in both is the button that was chosen.
 * Stuck ones keep nobody waiting. Two that come down in the same sample have no first one: neither counts.
 */
export function readButtons(contacts: readonly Contact[], closed: readonly boolean[], now: number):
  { readonly contacts: readonly Contact[]; readonly chosen: number | undefined } {
  const next = contacts.map((contact, index) => debounce(contact, closed[index] === true, now))
  const wentDown = next.flatMap(({ down }, index) => (down && contacts[index]?.down === false ? [index] : []))
  const free = contacts.every((contact) => !contact.down || isStuck(contact, now))
  return { contacts: next, chosen: free && wentDown.length === 1 ? wentDown[0] : undefined }
}

export function createButtons(options: ButtonsOptions): AmountSource {
  let said: string | undefined
  const report: PartReport = (fault) => {
    if (fault === said) return
    said = fault
    options.report(fault)
  }
  let stopLast = (): void => undefined

  return {
    start(deliver) {
      stopLast()
      const { connect, stop } = runButtons({ ...options, report }, deliver)
      stopLast = stop
      return connect()
    },
    answer: () => Promise.resolve(), // Nobody is at the other end of a button.
    stop() {
      stopLast()
      return Promise.resolve()
    },
  }
}

/** A button whose line is open, and what is believed of it. */
interface OpenButton {
  readonly product: string
  readonly line: InputLine
  readonly watched: boolean
  readonly isClosed: () => boolean
  contact: Contact
}

function runButtons({ buttons, board, report, log, now, alarm }: ButtonsOptions, deliver: (input: Input) => void) {
  const open = new Map<string, OpenButton>()
  const missing = new Map<string, string>()
  let stopped = false
  let connecting = false
  let lingerUntil = 0
  let callOff = (): void => undefined
  let callOffRetry = (): void => undefined

  /** Opens whatever is not open. Never rejects. */
  async function connect(): Promise<void> {
    connecting = true
    await openMissing()
    connecting = false
    if (stopped) return
    if (missing.size > 0) retryLater()
    tell()
    goOn()
  }

  async function openMissing(): Promise<void> {
    for (const [product, { pin, activeLow }] of Object.entries(buttons)) {
      if (open.has(product)) continue
      try {
        const line = await board.openInput(pin)
        if (stopped) return close(line)
        begin(product, line, () => (line.level() === 0) === activeLow)
      } catch (error) {
        miss(product, error)
      }
    }
  }

  function begin(product: string, line: InputLine, isClosed: () => boolean): void {
    try {
      const watched = line.watch(changed)
      open.set(product, { product, line, watched, isClosed, contact: settled(isClosed(), now()) })
      missing.delete(product)
    } catch (error) {
      close(line)
      throw error
    }
  }

  function miss(product: string, error: unknown): void {
    const button = open.get(product)
    if (button !== undefined) close(button.line)
    open.delete(product)
    missing.set(product, error instanceof Error ? error.message : String(error))
  }

  function retryLater(): void {
    callOffRetry()
    callOffRetry = alarm(now() + RETRY_MS, () => { void connect() })
  }

  function changed(): void {
    if (stopped || now() < lingerUntil) return
    lingerUntil = now() + LINGER_MS
    sample()
  }

  function sample(): void {
    const before = open.size
    const seen = [...open.values()].flatMap((button) => {
      try {
        return [{ button, closed: button.isClosed() }]
      } catch (error) {
        miss(button.product, error)
        return []
      }
    })
    const { contacts, chosen } = readButtons(seen.map(({ button }) => button.contact), seen.map(({ closed }) => closed), now())
    if (seen.length < before && !connecting) retryLater()
    for (const [index, { button }] of seen.entries()) button.contact = contacts[index] ?? button.contact
    tell()
    goOn()
    const product = chosen === undefined ? undefined : seen[chosen]?.button.product
    if (product !== undefined) deliver({ type: 'product chosen', product })
  }

  function goOn(): void {
    const contacts = [...open.values()].map(({ contact }) => contact)
    if (contacts.some(({ against }) => against > 0)) lingerUntil = now() + LINGER_MS
    callOff()
    if (now() < lingerUntil) callOff = alarm(now() + SAMPLE_MS, sample)
    else if ([...open.values()].some(({ watched }) => !watched)) callOff = alarm(now() + POLL_MS, sample)
    else {
      const stuckAt = contacts.filter((contact) => contact.down && !isStuck(contact, now())).map(({ since }) => since + STUCK_MS)
      if (stuckAt.length > 0) callOff = alarm(Math.min(...stuckAt), sample)
    }
  }

  function tell(): void {
    const faults = Object.entries(buttons).flatMap(([product, { pin }]) => {
      const why = missing.get(product)
      if (why !== undefined) return [`'${product}' cannot be used: ${why}`]
      const contact = open.get(product)?.contact
      return contact !== undefined && isStuck(contact, now()) ? [`'${product}' (GPIO ${pin}) has been down for over 30 s: free it, or look for a short`] : []
    })
    report(faults.length === 0 ? undefined : `the button ${faults.join('; ')}`)
  }

  function close(line: InputLine): void {
    try {
      line.close()
    } catch (error) {
      log.warn({ err: error }, 'the line of a button did not close')
    }
  }

  return {
    connect,
    stop(): void {
      stopped = true
      callOff()
      callOffRetry()
      for (const { line } of open.values()) close(line)
      open.clear()
    },
  }
}
