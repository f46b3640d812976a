/** The gateway as the terminal's shell meets it: what was sent, and words to say back. Signatures are cloud-link's affair. */
import type { CloudLink, LinkEvent, SaleRequest } from '../../device/cloud-link.js'
import type { Ending } from '../../device/protocol/wire.js'

export interface FakeLink extends CloudLink {
  readonly sent: readonly SaleRequest[]
  /** Anything the link may tell the shell. */
  say(event: LinkEvent): void
  comeUp(): void
  /** Offers a code for the order of the latest request. */
  offer(payload: string, lifetimeMs?: number): void
  /** Ends the sale of the latest request. */
  judge(ending: Ending): void
}

export const CHARGE = 'chrg_test_1'

export function createFakeLink(onSend: (request: SaleRequest) => void = () => undefined): FakeLink {
  const sent: SaleRequest[] = []
  let deliver: (event: LinkEvent) => void = () => undefined
  let counter = 0

  const lastOrder = () => {
    const last = sent.at(-1)
    if (last === undefined) throw new Error('nothing was sent yet')
    return last.order
  }
  return {
    sent,
    say: (event) => deliver(event),
    comeUp: () => deliver({ type: 'link up' }),
    offer: (payload, lifetimeMs = 120_000) => deliver({
      type: 'offer received', order: lastOrder(), counter: ++counter, charge: CHARGE, payload, lifetimeMs,
    }),
    judge: (ending) => deliver({
      type: 'verdict received', order: lastOrder(), counter: ++counter, re: sent.at(-1)?.id ?? null, charge: CHARGE, ending,
    }),
    start(to) {
      deliver = to
      return Promise.resolve()
    },
    send(request) {
      onSend(request)
      sent.push(request)
    },
    refused: () => ({}),
    stop: () => Promise.resolve(),
  }
}
