/**
 * What the panel says, in four languages, and why a register is told NO. Pure. A language that lacks a text does not compile.
 * Drafts: Thai, Chinese and Malay need a native reader before release. "You were not charged" is a promise and stands
 * only where the gateway's verdict is about a charge that failed or was never made.
 */
import { NEEDS_ATTENTION } from './protocol/wire.js'

export const LANGUAGES = ['en', 'th', 'zh', 'ms'] as const
export type Language = (typeof LANGUAGES)[number]

/** A line that says what is the case, and one that says what to do about it ('' when there is nothing to add). */
export interface Message {
  readonly headline: string
  readonly detail: string
}

/** Reasons of an unpaid sale that have words of their own; any other reason is said in general ones. */
export const UNPAID_REASONS = [
  'payment_expired', 'payment_rejected', 'insufficient_fund', 'failed_processing',
  'cancelled', 'expired', 'no answer', 'code not shown', 'code unreadable', 'restarted', 'refused', 'unreachable', 'frozen',
  'refunded', NEEDS_ATTENTION,
] as const
export type UnpaidReason = (typeof UNPAID_REASONS)[number]

export interface Words {
  readonly starting: Message
  readonly enterAmount: string
  /** An unusual amount: is it meant? */
  readonly confirmAmount: Message
  readonly pressOk: string
  readonly pleaseWait: Message
  readonly scanToPay: string
  readonly checking: Message
  readonly paid: Message
  /** Paid, and nobody knows whether the goods came out. Promises no refund: a person decides. */
  readonly undelivered: Message
  readonly unpaid: Readonly<Record<UnpaidReason, Message>>
  /** For a reason nobody has told us about: promises nothing. */
  readonly unpaidOtherwise: Message
  /** Money that came too late for its sale has gone back: undone, or refunded in the wallet's own time. */
  readonly reversed: { readonly voided: Message; readonly refunded: Message }
  readonly offline: Message
  readonly outOfService: Message
  /** To whoever sets the terminal up: what the code on the panel is for, and that it asks for no money. */
  readonly setUp: Message
  /** Over that code, in its frame. */
  readonly setUpTitle: string
  /** In front of the code that is typed where a camera is missing. */
  readonly setUpCode: string
  readonly updating: (minutesLeft: number) => Message
  /** `bound` is an amount such as 'THB 20.00'. */
  readonly amountTooSmall: (bound: string) => Message
  readonly amountTooLarge: (bound: string) => Message
  /** Both are amounts such as 'THB 20.00'. */
  readonly amountInSteps: (step: string, most: string) => Message
  readonly currencyNotSupported: Message
  readonly notAnAmount: Message
  readonly busy: Message
  /** Beside a code, where there is a keypad. */
  readonly pressCancel: string
  /** In front of the six characters. */
  readonly reference: string
  /** `secondsLeft` is rounded up to the step of the countdown, so "about" -- and less than that in its last step. */
  readonly timeLeft: (secondsLeft: number) => string
}

export function unpaidMessage(words: Words, reason: string): Message {
  const known = kindOf(reason)
  return known === undefined ? words.unpaidOtherwise : words.unpaid[known]
}

/** 'refused: ' and a code of the API or the gateway: no charge was made. Two of these codes say what to do about it. */
function kindOf(reason: string): UnpaidReason | undefined {
  const refused = /^refused: (.*)$/.exec(reason)
  if (refused !== null) return (['unreachable', 'frozen'] as const).find((code) => code === refused[1]) ?? 'refused'
  return UNPAID_REASONS.find((name) => name === reason)
}

/** Why NO, for a register: the reason as the gateway said it, then words for a person. Printable ASCII, at most 60 characters. */
export function registerReason(reason: string, reference: string): string {
  const known = kindOf(reason)
  const words = known === undefined ? 'not paid' : REGISTER_WORDS[known]
  return words === '' ? reason : `${reason}: ${words}${known === NEEDS_ATTENTION ? `, ref ${reference}` : ''}`
}

const REGISTER_WORDS: Readonly<Record<UnpaidReason, string>> = {
  payment_expired: 'the code was not paid in time',
  payment_rejected: 'the wallet did not accept it',
  insufficient_fund: 'too little balance, or a limit',
  failed_processing: 'the payment did not go through',
  cancelled: '',
  expired: 'the code was not paid in time',
  'no answer': 'no code could be made',
  'code not shown': '',
  'code unreadable': 'no code could be made',
  restarted: 'the sale was interrupted',
  refused: '', // It says already what was refused.
  unreachable: 'try again later',
  frozen: 'this terminal takes no payments',
  refunded: 'it was paid and went back',
  [NEEDS_ATTENTION]: 'money may have moved',
}

const en: Words = {
  starting: { headline: 'Starting', detail: 'Please wait' },
  enterAmount: 'Enter amount',
  confirmAmount: { headline: 'Is this right?', detail: 'OK once more, or Clear' },
  pressOk: 'Press OK',
  pleaseWait: { headline: 'Preparing QR code', detail: 'Please wait' },
  scanToPay: 'Scan to pay',
  checking: { headline: 'Checking payment', detail: 'Do not pay again' },
  paid: { headline: 'Paid', detail: 'Thank you' },
  undelivered: { headline: 'Paid. Nothing came out?', detail: 'Please ask the staff' },
  unpaid: {
    payment_expired: { headline: 'Code expired', detail: 'Do not pay' },
    payment_rejected: { headline: 'Not accepted by your wallet', detail: 'You were not charged' },
    insufficient_fund: { headline: 'Not enough balance or limit reached', detail: 'You were not charged' },
    failed_processing: { headline: 'Payment did not go through', detail: 'Try again' },
    cancelled: { headline: 'Cancelled', detail: 'Do not pay' },
    expired: { headline: 'Code expired', detail: 'Do not pay' },
    'no answer': { headline: 'No code could be made', detail: 'Try again' },
    'code not shown': { headline: 'The code could not be shown', detail: 'Do not pay' },
    'code unreadable': { headline: 'No code could be made', detail: 'Try again' },
    restarted: { headline: 'Payment was interrupted', detail: 'Do not pay' },
    refused: { headline: 'Payment not possible', detail: 'You were not charged' },
    unreachable: { headline: 'QR payment unavailable', detail: 'Try again later' },
    frozen: { headline: 'This terminal takes no payments', detail: 'Please ask the staff' },
    refunded: { headline: 'Payment returned', detail: 'It goes back to your wallet' },
    [NEEDS_ATTENTION]: { headline: 'Please ask the staff', detail: 'Do not pay again' },
  },
  unpaidOtherwise: { headline: 'Payment did not go through', detail: 'Do not pay with the old code' },
  reversed: {
    voided: { headline: 'Payment returned', detail: 'It came too late and was undone' },
    refunded: { headline: 'Payment returned', detail: 'It came too late. Refund may take days' },
  },
  offline: { headline: 'QR payment unavailable', detail: 'Try again later' },
  outOfService: { headline: 'Out of service', detail: '' },
  setUp: { headline: 'Scan to set up', detail: 'This is not a payment' },
  setUpTitle: 'SET UP',
  setUpCode: 'Code',
  updating: (minutesLeft) => ({ headline: 'Updating', detail: `Back in ${minutesLeft} ${minutesLeft === 1 ? 'minute' : 'minutes'}` }),
  amountTooSmall: (bound) => ({ headline: 'Amount too small', detail: `Minimum ${bound}` }),
  amountTooLarge: (bound) => ({ headline: 'Amount too large', detail: `Maximum ${bound}` }),
  amountInSteps: (step, most) => ({ headline: `Only in steps of ${step}`, detail: `Maximum ${most}` }),
  currencyNotSupported: { headline: 'Currency not supported', detail: '' },
  notAnAmount: { headline: 'Not an amount', detail: 'Enter it again' },
  busy: { headline: 'Busy with another sale', detail: 'Please wait' },
  pressCancel: 'Press Cancel to stop',
  reference: 'Ref',
  timeLeft: (secondsLeft) => duration(secondsLeft, {
    lastStep: (seconds) => `less than ${seconds} s left`,
    about: (parts) => `about ${parts} left`,
    units: { h: 'h', min: 'min', s: 's' },
  }),
}

const th: Words = {
  starting: { headline: 'กำลังเริ่มระบบ', detail: 'กรุณารอสักครู่' },
  enterAmount: 'กรุณาใส่จำนวนเงิน',
  confirmAmount: { headline: 'จำนวนเงินถูกต้องไหม', detail: 'กด OK อีกครั้ง หรือ Clear' },
  pressOk: 'กด OK เพื่อยืนยัน',
  pleaseWait: { headline: 'กำลังสร้าง QR', detail: 'กรุณารอสักครู่' },
  scanToPay: 'สแกนเพื่อจ่าย',
  checking: { headline: 'กำลังตรวจสอบ', detail: 'อย่าจ่ายซ้ำ' },
  paid: { headline: 'ชำระเงินแล้ว', detail: 'ขอบคุณ' },
  undelivered: { headline: 'ชำระเงินแล้ว สินค้าไม่ออกใช่ไหม', detail: 'กรุณาติดต่อพนักงาน' },
  unpaid: {
    payment_expired: { headline: 'QR หมดอายุ', detail: 'อย่าจ่าย' },
    payment_rejected: { headline: 'วอลเล็ตปฏิเสธ', detail: 'ไม่มีการตัดเงิน' },
    insufficient_fund: { headline: 'ยอดเงินไม่พอ หรือเกินวงเงิน', detail: 'ไม่มีการตัดเงิน' },
    failed_processing: { headline: 'ทำรายการไม่สำเร็จ', detail: 'ลองใหม่' },
    cancelled: { headline: 'ยกเลิกแล้ว', detail: 'อย่าจ่าย' },
    expired: { headline: 'QR หมดอายุ', detail: 'อย่าจ่าย' },
    'no answer': { headline: 'สร้าง QR ไม่สำเร็จ', detail: 'ลองใหม่' },
    'code not shown': { headline: 'แสดง QR ไม่ได้', detail: 'อย่าจ่าย' },
    'code unreadable': { headline: 'สร้าง QR ไม่สำเร็จ', detail: 'ลองใหม่' },
    restarted: { headline: 'รายการถูกขัดจังหวะ', detail: 'อย่าจ่าย' },
    refused: { headline: 'ชำระเงินไม่ได้', detail: 'ไม่มีการตัดเงิน' },
    unreachable: { headline: 'ชำระด้วย QR ไม่ได้ชั่วคราว', detail: 'ลองใหม่ภายหลัง' },
    frozen: { headline: 'เครื่องนี้ไม่รับชำระเงิน', detail: 'กรุณาติดต่อพนักงาน' },
    refunded: { headline: 'คืนเงินแล้ว', detail: 'เงินจะกลับเข้าวอลเล็ตของคุณ' },
    [NEEDS_ATTENTION]: { headline: 'กรุณาติดต่อพนักงาน', detail: 'อย่าจ่ายซ้ำ' },
  },
  unpaidOtherwise: { headline: 'ทำรายการไม่สำเร็จ', detail: 'อย่าจ่ายด้วย QR เดิม' },
  reversed: {
    voided: { headline: 'คืนเงินแล้ว', detail: 'จ่ายช้าเกินไป รายการถูกยกเลิกแล้ว' },
    refunded: { headline: 'คืนเงินแล้ว', detail: 'จ่ายช้าเกินไป คืนเงินอาจใช้หลายวัน' },
  },
  offline: { headline: 'ชำระด้วย QR ไม่ได้ชั่วคราว', detail: 'ลองใหม่ภายหลัง' },
  outOfService: { headline: 'งดให้บริการ', detail: '' },
  setUp: { headline: 'สแกนเพื่อตั้งค่า', detail: 'ไม่ใช่การชำระเงิน' },
  setUpTitle: 'ตั้งค่า',
  setUpCode: 'รหัส',
  updating: (minutesLeft) => ({ headline: 'กำลังอัปเดต', detail: `กลับมาใน ${minutesLeft} นาที` }),
  amountTooSmall: (bound) => ({ headline: 'จำนวนเงินน้อยเกินไป', detail: `ขั้นต่ำ ${bound}` }),
  amountTooLarge: (bound) => ({ headline: 'จำนวนเงินมากเกินไป', detail: `สูงสุด ${bound}` }),
  amountInSteps: (step, most) => ({ headline: `รับเฉพาะทีละ ${step}`, detail: `สูงสุด ${most}` }),
  currencyNotSupported: { headline: 'ไม่รองรับสกุลเงินนี้', detail: '' },
  notAnAmount: { headline: 'จำนวนเงินไม่ถูกต้อง', detail: 'กรุณาใส่ใหม่' },
  busy: { headline: 'กำลังทำรายการอื่น', detail: 'กรุณารอสักครู่' },
  pressCancel: 'กด Cancel เพื่อยกเลิก',
  reference: 'รหัส',
  timeLeft: (secondsLeft) => duration(secondsLeft, {
    lastStep: (seconds) => `เหลือไม่ถึง ${seconds} วินาที`,
    about: (parts) => `เหลือประมาณ ${parts}`,
    units: { h: 'ชม.', min: 'นาที', s: 'วินาที' },
  }),
}

const zh: Words = {
  starting: { headline: '正在启动', detail: '请稍候' },
  enterAmount: '请输入金额',
  confirmAmount: { headline: '金额正确吗？', detail: '再按 OK 确认，或按 Clear' },
  pressOk: '按 OK 确认',
  pleaseWait: { headline: '正在生成二维码', detail: '请稍候' },
  scanToPay: '扫码支付',
  checking: { headline: '正在确认付款', detail: '请勿重复支付' },
  paid: { headline: '支付成功', detail: '谢谢' },
  undelivered: { headline: '已付款，未出货？', detail: '请联系工作人员' },
  unpaid: {
    payment_expired: { headline: '二维码已过期', detail: '请勿支付' },
    payment_rejected: { headline: '付款被钱包拒绝', detail: '未扣款' },
    insufficient_fund: { headline: '余额不足或超限额', detail: '未扣款' },
    failed_processing: { headline: '支付未完成', detail: '请重试' },
    cancelled: { headline: '已取消', detail: '请勿支付' },
    expired: { headline: '二维码已过期', detail: '请勿支付' },
    'no answer': { headline: '未能生成二维码', detail: '请重试' },
    'code not shown': { headline: '无法显示二维码', detail: '请勿支付' },
    'code unreadable': { headline: '未能生成二维码', detail: '请重试' },
    restarted: { headline: '支付已中断', detail: '请勿支付' },
    refused: { headline: '无法支付', detail: '未扣款' },
    unreachable: { headline: '二维码支付 暂不可用', detail: '请稍后再试' },
    frozen: { headline: '本终端暂不收款', detail: '请联系店员' },
    refunded: { headline: '已退款', detail: '款项将退回您的钱包' },
    [NEEDS_ATTENTION]: { headline: '请联系店员', detail: '请勿重复支付' },
  },
  unpaidOtherwise: { headline: '支付未完成', detail: '请勿用旧码支付' },
  reversed: {
    voided: { headline: '款项已退回', detail: '付款过晚 已撤销' },
    refunded: { headline: '已退款', detail: '付款过晚 到账可能需数日' },
  },
  offline: { headline: '二维码支付 暂不可用', detail: '请稍后再试' },
  outOfService: { headline: '暂停服务', detail: '' },
  setUp: { headline: '扫码设置', detail: '这不是付款码' },
  setUpTitle: '设置',
  setUpCode: '代码',
  updating: (minutesLeft) => ({ headline: '正在更新', detail: `${minutesLeft} 分钟后恢复` }),
  amountTooSmall: (bound) => ({ headline: '金额过低', detail: `最低 ${bound}` }),
  amountTooLarge: (bound) => ({ headline: '金额过高', detail: `最高 ${bound}` }),
  amountInSteps: (step, most) => ({ headline: `金额须为 ${step} 的倍数`, detail: `最高 ${most}` }),
  currencyNotSupported: { headline: '不支持该货币', detail: '' },
  notAnAmount: { headline: '金额无效', detail: '请重新输入' },
  busy: { headline: '正在处理另一笔交易', detail: '请稍候' },
  pressCancel: '按 Cancel 取消',
  reference: '编号',
  timeLeft: (secondsLeft) => duration(secondsLeft, {
    lastStep: (seconds) => `剩余不到 ${seconds} 秒`,
    about: (parts) => `剩余约 ${parts}`,
    units: { h: '小时', min: '分', s: '秒' },
  }),
}

const ms: Words = {
  starting: { headline: 'Sedang dimulakan', detail: 'Sila tunggu' },
  enterAmount: 'Masukkan jumlah',
  confirmAmount: { headline: 'Betulkah jumlah ini?', detail: 'OK sekali lagi, atau Clear' },
  pressOk: 'Tekan OK',
  pleaseWait: { headline: 'Menyediakan QR', detail: 'Sila tunggu' },
  scanToPay: 'Imbas untuk bayar',
  checking: { headline: 'Menyemak bayaran', detail: 'Jangan bayar lagi' },
  paid: { headline: 'Bayaran berjaya', detail: 'Terima kasih' },
  undelivered: { headline: 'Dibayar. Tiada yang keluar?', detail: 'Sila tanya kakitangan' },
  unpaid: {
    payment_expired: { headline: 'Kod tamat tempoh', detail: 'Jangan bayar' },
    payment_rejected: { headline: 'Ditolak oleh dompet', detail: 'Anda tidak dicaj' },
    insufficient_fund: { headline: 'Baki tidak cukup atau had dicapai', detail: 'Anda tidak dicaj' },
    failed_processing: { headline: 'Bayaran gagal', detail: 'Cuba lagi' },
    cancelled: { headline: 'Dibatalkan', detail: 'Jangan bayar' },
    expired: { headline: 'Kod tamat tempoh', detail: 'Jangan bayar' },
    'no answer': { headline: 'Kod tidak dapat disediakan', detail: 'Cuba lagi' },
    'code not shown': { headline: 'Kod tidak dapat dipaparkan', detail: 'Jangan bayar' },
    'code unreadable': { headline: 'Kod tidak dapat disediakan', detail: 'Cuba lagi' },
    restarted: { headline: 'Bayaran terganggu', detail: 'Jangan bayar' },
    refused: { headline: 'Bayaran tidak dapat dibuat', detail: 'Anda tidak dicaj' },
    unreachable: { headline: 'Bayaran QR tidak tersedia', detail: 'Cuba lagi kemudian' },
    frozen: { headline: 'Terminal ini tidak menerima bayaran', detail: 'Sila tanya petugas' },
    refunded: { headline: 'Bayaran dikembalikan', detail: 'Wang kembali ke dompet anda' },
    [NEEDS_ATTENTION]: { headline: 'Sila tanya petugas', detail: 'Jangan bayar lagi' },
  },
  unpaidOtherwise: { headline: 'Bayaran gagal', detail: 'Jangan bayar dengan kod lama' },
  reversed: {
    voided: { headline: 'Bayaran dikembalikan', detail: 'Terlambat; bayaran telah dibatalkan' },
    refunded: { headline: 'Bayaran dikembalikan', detail: 'Lewat; wang kembali dalam beberapa hari' },
  },
  offline: { headline: 'Bayaran QR tidak tersedia', detail: 'Cuba lagi kemudian' },
  outOfService: { headline: 'Tidak beroperasi', detail: '' },
  setUp: { headline: 'Imbas untuk persediaan', detail: 'Ini bukan bayaran' },
  setUpTitle: 'PERSEDIAAN',
  setUpCode: 'Kod',
  updating: (minutesLeft) => ({ headline: 'Sedang dikemas kini', detail: `Kembali dalam ${minutesLeft} minit` }),
  amountTooSmall: (bound) => ({ headline: 'Jumlah terlalu kecil', detail: `Minimum ${bound}` }),
  amountTooLarge: (bound) => ({ headline: 'Jumlah terlalu besar', detail: `Maksimum ${bound}` }),
  amountInSteps: (step, most) => ({ headline: `Hanya gandaan ${step}`, detail: `Maksimum ${most}` }),
  currencyNotSupported: { headline: 'Mata wang tidak disokong', detail: '' },
  notAnAmount: { headline: 'Jumlah tidak sah', detail: 'Masukkan semula' },
  busy: { headline: 'Sedang memproses jualan lain', detail: 'Sila tunggu' },
  pressCancel: 'Tekan Cancel untuk batal',
  reference: 'Ruj',
  timeLeft: (secondsLeft) => duration(secondsLeft, {
    lastStep: (seconds) => `kurang daripada ${seconds} saat lagi`,
    about: (parts) => `kira-kira ${parts} lagi`,
    units: { h: 'jam', min: 'min', s: 'saat' },
  }),
}

export const WORDS: Readonly<Record<Language, Words>> = { en, th, zh, ms }

/** Every text of a language, those with an amount or a time in them filled with an example: for whoever checks its letters. */
export function textsOf(words: Words): readonly string[] {
  const all = (value: unknown): readonly string[] =>
    typeof value === 'string' ? [value] : typeof value === 'object' && value !== null ? Object.values(value).flatMap(all) : []
  const { amountTooSmall, amountTooLarge, timeLeft, updating } = words
  return all([words, amountTooSmall('THB 1'), amountTooLarge('THB 1'), [15, 105, 3_700].map(timeLeft), [1, 2].map(updating)])
}

interface DurationWords {
  readonly lastStep: (seconds: number) => string
  readonly about: (parts: string) => string
  readonly units: { readonly h: string; readonly min: string; readonly s: string }
}

/** One countdown step or less is "less than"; from an hour on, seconds say nothing. */
function duration(secondsLeft: number, { lastStep, about, units }: DurationWords): string {
  const seconds = Math.max(0, Math.round(secondsLeft))
  if (seconds <= 15) return lastStep(15)
  const h = Math.floor(seconds / 3600)
  const min = Math.floor(seconds / 60) % 60
  const s = seconds % 60
  const parts = h > 0 ? [[h, units.h], [min, units.min]] : [[min, units.min], [s, units.s]]
  return about(parts.filter(([count]) => count !== 0).map(([count, unit]) => `${count} ${unit}`).join(' '))
}
