/**
 * The story of a sale, told from what each program logged: who said what to whom. A record that says nothing to a
 * reader, or nothing new, is undefined. Uses no clock and no I/O.
 */
import type { LogRecord } from './workbench.js'

export interface StoryLine {
  readonly time: number
  readonly from: Who
  readonly to: Who
  readonly text: string
  readonly tone: 'plain' | 'money' | 'warning'
}

export type Who = 'Terminal' | 'Gateway' | 'Omise sandbox' | 'Customer' | 'Cashier' | 'Panel' | 'Register' | 'Ledger'

/** Tells one record after the other. A code that is drawn again because its time runs on is no news. */
export function createStory(): (record: LogRecord) => StoryLine | undefined {
  let codeOf: unknown
  return (record) => {
    const again = record.msg === 'code shown' && record.fields['sale'] === codeOf
    if (record.msg === 'code shown') codeOf = record.fields['sale']
    const told = again ? undefined : sentence(record)
    return told && { time: record.time, tone: 'plain', ...told }
  }
}

type Sentence = Omit<StoryLine, 'time' | 'tone'> & Partial<Pick<StoryLine, 'tone'>>

function sentence(record: LogRecord): Sentence | undefined {
  switch (record.program) {
    case 'terminal': return ofTerminal(record)
    case 'gateway':  return ofGateway(record)
    case 'sandbox':  return ofSandbox(record)
  }
}

function ofTerminal({ msg, fields }: LogRecord): Sentence | undefined {
  const at = text(fields)
  switch (msg) {
    case 'link up':
      return { from: 'Terminal', to: 'Gateway', text: 'hello; the signed welcome came back, the link is up' }
    case 'link lost':
      return { from: 'Terminal', to: 'Gateway', text: `link lost: ${at('because')}`, tone: 'warning' }
    case 'sale step':
      switch (fields['to']) {
        case 'opening':
          return fields['from'] === 'opening' ? { from: 'Terminal', to: 'Gateway', text: 'asks again, same request' }
            : { from: 'Terminal', to: 'Gateway', text: `please open sale ${at('reference')} of ${at('amount')} (journalled first)` }
        case 'presenting':
          return fields['from'] === 'presenting' ? { from: 'Terminal', to: 'Gateway', text: 'anything new?' } : undefined
        case 'resolving':
          return fields['from'] === 'resolving' ? { from: 'Terminal', to: 'Gateway', text: `asks again how sale ${at('reference')} ended` }
            : { from: 'Terminal', to: 'Gateway', text: `please close sale ${at('reference')}: ${doubt(fields)}; the panel says "checking"`, tone: 'warning' }
      }
      return undefined
    case 'code shown':
      return { from: 'Terminal', to: 'Panel', text: 'shows the code; read back from its very bits, it is the one offered' }
    case 'sale ended':
      return { from: 'Terminal', to: 'Customer', text: `${ending(fields)}; the lamps say so too`, tone: isPaid(fields) ? 'money' : 'warning' }
    case 'code does not read back':
    case 'panel fault':
      return { from: 'Terminal', to: 'Panel', text: msg, tone: 'warning' }
  }
  return undefined
}

function ofGateway({ msg, fields }: LogRecord): Sentence | undefined {
  const at = text(fields)
  const words = Array.isArray(fields['words']) ? fields['words'] : []
  switch (msg) {
    case 'charge step':
      if (fields['event'] === 'sale opened' && fields['from'] === 'none') {
        return { from: 'Gateway', to: 'Omise sandbox', text: 'please charge (the intent is on disk)' }
      }
      if (words.includes('sale.offer')) {
        return { from: 'Gateway', to: 'Terminal', text: fields['event'] === 'code read'
          ? `signed offer of ${at('charge')} with the code's text`
          : 'nothing new: the same signed offer again' }
      }
      if (fields['to'] === 'paid' && fields['from'] !== 'paid') {
        return { from: 'Gateway', to: 'Terminal', text: 'read the charge itself: paid; ledger posted, signed verdict sent', tone: 'money' }
      }
      if (words.includes('sale.verdict')) {
        const again = fields['from'] === fields['to'] ? ', once more' : ''
        return { from: 'Gateway', to: 'Terminal', text: `signed verdict${again}: ${ending(fields)}` }
      }
      return undefined
    case 'webhook heard':
      return { from: 'Omise sandbox', to: 'Gateway', text: `webhook ${at('key')}, signature good: a reason to look` }
    case 'webhook refused':
    case 'message refused':
      return { from: 'Gateway', to: 'Gateway', text: `${msg}: ${at('because')}${at('reason')}`, tone: 'warning' }
    case 'a person must look':
      return { from: 'Gateway', to: 'Ledger', text: `exception: ${at('reason')}`, tone: 'warning' }
  }
  return undefined
}

function ofSandbox({ msg, fields }: LogRecord): Sentence | undefined {
  const at = text(fields)
  switch (msg) {
    case 'charge created':
      return { from: 'Omise sandbox', to: 'Gateway', text: `${at('charge')} is pending` }
    case 'charge completed':
      return { from: 'Omise sandbox', to: 'Gateway', text: `${at('charge')} is ${at('status')}${fields['failureCode'] == null ? '' : ` (${at('failureCode')})`}`, tone: at('status') === 'successful' ? 'money' : 'warning' }
    case 'charge expired':
      return { from: 'Omise sandbox', to: 'Gateway', text: `${at('charge')} is expired` }
  }
  return undefined
}

/** 'PAID', or 'NOT PAID (payment_rejected)'. */
export function ending(fields: LogRecord['fields']): string {
  const { ending } = fields
  if (!(ending instanceof Object) || !('outcome' in ending)) return 'ended'
  return ending.outcome === 'paid' ? 'PAID' : `NOT PAID (${'reason' in ending ? String(ending.reason) : 'no reason'})`
}

const isPaid = ({ ending }: LogRecord['fields']): boolean => ending instanceof Object && 'outcome' in ending && ending.outcome === 'paid'

/** Why the terminal must ask: its own word for what happened, and what that means. */
function doubt({ event, from }: LogRecord['fields']): string {
  switch (event) {
    case 'deadline reached': return from === 'presenting' ? 'its code ran out' : 'no offer came'
    case 'cancel pressed':   return 'Cancel was pressed'
    case 'restarted':        return 'the terminal was away'
    case 'code not shown':   return 'its code could not be shown'
  }
  return String(event)
}

const text = (fields: LogRecord['fields']) => (name: string): string => {
  const value = fields[name]
  return typeof value === 'string' || typeof value === 'number' ? String(value) : ''
}
