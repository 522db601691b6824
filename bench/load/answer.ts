/** `more`: not whole yet. `whole`: whole and right. `last`: that too, and the server will close. Else a kind of error. */
export type Progress = "more" | "whole" | "last" | (string & {});

/** Follows one answer after another on one connection; bytes belong to the caller and are not kept. */
export interface AnswerReader {
  /** Takes the bytes that were read. To be asked only while a request is under way. */
  read(chunk: Buffer, length: number): Progress;
}
