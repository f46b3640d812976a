/**
 * One hello to the gateway and back, by the terminal's own link and identity. At the gateway it is a start of this terminal like
 * any other, so it is said with a fresh epoch of the terminal's own journal and names the sales that are open in it: then nobody
 * takes it for a second box, or for one that has lost its journal.
 */
import type { Logger } from 'pino'
import { good, bad, type Finding } from '../drivers/finding.js'
import type { Clock } from './clock.js'
import { createCloudLink, type LinkOptions, type Transport } from './cloud-link.js'
import type { Journal } from './journal.js'

export interface Greeting extends Pick<LinkOptions, 'terminal' | 'transport' | 'seal' | 'open' | 'software' | 'configHash' | 'boot' | 'random'> {
  readonly journal: Pick<Journal, 'epoch' | 'forgot' | 'last'>
  readonly clock: Clock
  readonly log: Logger
}

export const GATEWAY_MS = 10_000

/** How far it came. */
type Reached = 'nothing' | 'the broker' | 'the gateway\'s topic'

export async function greetGateway({ journal, transport, clock, ...options }: Greeting): Promise<readonly Finding[]> {
  let reached: Reached = 'nothing'
  let saidAt = clock.now()
  let charging = true
  let over: (end: { readonly lost: string } | 'answered' | 'silence') => void = () => undefined
  const ending = new Promise<Parameters<typeof over>[0]>((resolve) => { over = resolve })

  const watched: Transport = {
    peer: transport.peer,
    prepare: () => transport.prepare(),
    open: (will, listener) => transport.open(will, {
      ...listener,
      connected() {
        reached = 'the broker'
        listener.connected()
      },
      subscribed() {
        reached = 'the gateway\'s topic'
        saidAt = clock.now()
        listener.subscribed()
      },
      lost(because) {
        over({ lost: because })
        listener.lost(because)
      },
    }),
  }
  const link = createCloudLink({ ...options, transport: watched, epoch: journal.epoch, forgot: journal.forgot, openSales: () => openSales(journal), clock })
  const callOff = clock.alarm(clock.now() + GATEWAY_MS, () => over('silence'))
  try {
    await link.start((event) => {
      if (event.type === 'charging changed') charging = event.charging
      if (event.type === 'link up') over('answered')
    })
    const end = await ending
    if (end === 'answered') return answered(clock.now() - saidAt, charging)
    return [noAnswer(transport.peer, reached, end === 'silence' ? undefined : end.lost, link.refused())]
  } finally {
    callOff()
    await link.stop()
  }
}

/** As the terminal names them. */
export function openSales(journal: Pick<Journal, 'last'>): readonly string[] {
  const last = journal.last()
  return last.phase === 'idle' || last.phase === 'settled' ? [] : [last.sale.id]
}

function answered(ms: number, charging: boolean): readonly Finding[] {
  return [
    good('gateway', `a hello was answered in ${Math.round(ms)} ms`),
    charging ? good('charging', 'the gateway can charge')
      : bad('charging', 'the gateway answers, and cannot charge', 'see the gateway\'s log: its Omise key, its network and its database, or this terminal is frozen and must be enrolled anew'),
  ]
}

function noAnswer(peer: string, reached: Reached, lost: string | undefined, refused: Readonly<Record<string, number>>): Finding {
  const heard = Object.keys(refused)
  if (heard.length > 0) {
    return bad('gateway', `words came that this terminal does not believe: ${heard.join(', ')}`, 'is identity.json of this gateway? Enrol the terminal anew')
  }
  switch (reached) {
    case 'nothing':
      return lost !== undefined && /refused:|not authori[sz]ed|bad user|identifier rejected/i.test(lost)
        ? bad('gateway', `the broker ${peer} refuses this terminal: ${lost}`, 'is it enrolled there, and its identity.json the newest? Enrol it anew')
        : bad('gateway', `the broker ${peer} cannot be reached: ${lost ?? `no word in ${GATEWAY_MS / 1_000} s`}`,
          'is the network there, broker.url of identity.json right, the gateway running, its port open in the firewall, and caFile that of its certificate?')
    case 'the broker':
      return bad('gateway', `the broker ${peer} lets this terminal in, and not hear its words: ${lost ?? 'no SUBACK'}`, 'correct the broker\'s access rules (firmware-config/provisioning/mosquitto.acl.example)')
    case 'the gateway\'s topic':
      return bad('gateway', `the broker ${peer} is there, and the gateway did not answer in ${GATEWAY_MS / 1_000} s${lost === undefined ? '' : ` (${lost})`}`,
        'is the gateway running on this broker, does it know this terminal and its key, and may this terminal publish? Its log says what it refuses')
  }
}
